"""``python -m export.build_faiss_index`` is ``cmnas build_faiss_index``."""

from cmnas_tf.__main__ import run

if __name__ == "__main__":
    run("build_faiss_index")
