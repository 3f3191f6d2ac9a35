"""``python -m export.client`` is ``cmnas client``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("client")
