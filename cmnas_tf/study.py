"""``python -m cmnas_tf.study`` is ``cmnas study``."""

from cmnas_tf.commands.cmnas import run

if __name__ == "__main__":
    run("study")
