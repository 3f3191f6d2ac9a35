"""``python -m cmnas_tf COMMAND`` is ``cmnas COMMAND``; whoever imports this is a program."""

import signal

# Ctrl-C ends a program without a traceback until its command has been imported and takes over.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from cmnas_tf.commands.cmnas import main, run  # noqa: E402

__all__ = ["main", "run"]

if __name__ == "__main__":
    main()
