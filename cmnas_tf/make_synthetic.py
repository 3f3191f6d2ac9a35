"""``python -m cmnas_tf.make_synthetic`` is ``cmnas make_synthetic``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("make_synthetic")
