"""``python -m cmnas_tf.train`` is ``cmnas train``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("train")
