"""``python -m export.export_saved_model`` is ``cmnas export``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("export")
