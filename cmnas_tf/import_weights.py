"""``python -m cmnas_tf.import_weights`` is ``cmnas import_weights``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("import_weights")
