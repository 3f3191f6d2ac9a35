"""``python -m export.export_saved_model`` is ``cmnas export``."""

from cmnas_tf.commands.cmnas import run

if __name__ == "__main__":
    run("export")
