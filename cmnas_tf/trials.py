"""``python -m cmnas_tf.trials`` is ``cmnas trials``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("trials")
