"""``python -m export.build_faiss_index``: a large gallery as an index of FAISS, for the client.

Prints how much of what an exact search finds the index finds as well, and how long both take.
"""

import time
from pathlib import Path

from cmnas_tf import command_line, settings
from cmnas_tf.errors import BadInput

_MATCHES, _QUERIES = 10, 200


def main(options: settings.BuildFaissIndex) -> None:
    """Builds the index, measures it, and says where it is."""
    print(build_faiss_index(options))


def build_faiss_index(options: settings.BuildFaissIndex) -> str:
    """Writes the folder of an index.

    Args:
      options: of the command.

    Returns:
      What was written, and its recall against exact search.

    Raises:
      BadInput: no such gallery, an empty one, or the folder exists.
    """
    chosen = options.index
    folder = Path(chosen.output)
    if not chosen.output or folder.exists():
        raise BadInput(
            f"--output={chosen.output!r} is empty or exists; give the path of a new folder."
        )

    from cmnas_tf.serving.faiss_index import FaissIndex, recall
    from cmnas_tf.serving.gallery import Gallery

    gallery = Gallery.load(chosen.index)
    if not len(gallery):
        raise BadInput(
            f"{chosen.index} has no entries; add some with python -m export.build_index."
        )
    index = FaissIndex.of(gallery, chosen.kind, chosen.effort)
    index.save(folder)
    k = min(_MATCHES, len(gallery))
    found = recall(index, gallery, k, _QUERIES)
    query = gallery.embeddings[:1]
    exact, approximate = (
        _milliseconds(search, query, k) for search in (gallery.search, index.search)
    )
    return (
        f"{folder}: {chosen.kind} index of {len(gallery)} entries\n"
        f"recall@{k} {found:.4f} against exact search, over {min(_QUERIES, len(gallery))} entries "
        f"as queries (effort {chosen.effort})\n"
        f"one query {approximate:.2f} ms, exact search in NumPy {exact:.2f} ms"
    )


def _milliseconds(search, query, k: int) -> float:
    """The fastest of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        search(query, k)
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


if __name__ == "__main__":
    command_line.run(main, settings.BuildFaissIndex)
