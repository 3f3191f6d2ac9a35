"""``python -m cmnas_tf.search`` is ``cmnas search``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("search")
