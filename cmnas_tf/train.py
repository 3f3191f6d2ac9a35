"""``python -m cmnas_tf.train`` is ``cmnas train``."""

from cmnas_tf.commands.cmnas import run

if __name__ == "__main__":
    run("train")
