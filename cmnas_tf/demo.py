"""``python -m cmnas_tf.demo`` is ``cmnas demo``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("demo")
