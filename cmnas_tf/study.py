"""``python -m cmnas_tf.study`` is ``cmnas study``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("study")
