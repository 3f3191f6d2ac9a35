"""``python -m cmnas_tf.evaluate`` is ``cmnas evaluate``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("evaluate")
