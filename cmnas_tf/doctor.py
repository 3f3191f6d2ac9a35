"""``python -m cmnas_tf.doctor`` is ``cmnas doctor``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("doctor")
