"""``python -m export.local_server`` is ``cmnas local_server``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("local_server")
