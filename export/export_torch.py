"""``python -m export.export_torch`` is ``cmnas export_torch``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("export_torch")
