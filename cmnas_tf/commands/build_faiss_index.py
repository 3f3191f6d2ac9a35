"""``cmnas build_faiss_index``: an index of a large gallery, for the client."""

from dataclasses import dataclass

from cmnas_tf.options import Options, option, path_option
from cmnas_tf.serving.faiss_index import KINDS, build_faiss_index


@dataclass(frozen=True, kw_only=True)
class BuildFaissIndex(Options):
    """Makes an index of a large gallery with FAISS, for the client.

    Prints how much of what an exact search finds the index finds as well, and how long both take.
    """

    gallery: str = path_option(
        "The gallery file, of cmnas build_index, or embeddings, of cmnas embed.",
        required=True,
        old_names=("index",),
    )
    output: str = path_option("Folder of the index; it must not exist.", required=True)
    kind: str = option(
        "hnsw",
        "flat: exact; ivf: looks into cells next to the query; ivfpq: likewise, at entries of at "
        "most 64 bytes; hnsw: walks a graph of neighbours.",
        choices=KINDS,
    )
    effort: int = option(
        32,
        "Effort that recall is measured with: cells looked into (ivf), candidates (hnsw).",
        minimum=1,
    )


def main(command: BuildFaissIndex) -> None:
    """Builds the index, measures it, and says where it is."""
    print(build_faiss_index(**command.values()))
