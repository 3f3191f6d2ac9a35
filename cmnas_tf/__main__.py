"""``python -m cmnas_tf COMMAND`` is ``cmnas COMMAND``."""

from cmnas_tf.commands.cmnas import main

if __name__ == "__main__":
    main()
