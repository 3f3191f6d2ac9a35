"""``python -m export.local_server`` is ``cmnas local_server``."""

from cmnas_tf.commands.cmnas import run

if __name__ == "__main__":
    run("local_server")
