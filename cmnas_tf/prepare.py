"""``python -m cmnas_tf.prepare`` is ``cmnas prepare``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("prepare")
