"""``cmnas rank``: how well queries find their people in a gallery of any size."""

from dataclasses import dataclass

from cmnas_tf.commands.executor import Where
from cmnas_tf.options import Options, option, path_option
from cmnas_tf.retrieval.ranking_in_parts import PART_RULES
from cmnas_tf.runs.how_it_runs import Progress


@dataclass(frozen=True, kw_only=True)
class Rank(Options):
    """Measures how well queries find their people in a gallery of any size, a part at a time."""

    query: str = path_option(
        "Entries that ask: a gallery file, a store, or embeddings, of cmnas embed.", required=True
    )
    gallery: str = path_option("Embeddings that answer, of cmnas embed.", required=True)
    rule: str = option(
        "market",
        "market: a query does not see its own person's images from its own camera; regdb: it sees "
        "all.",
        choices=PART_RULES,
    )
    where: Where = Where()
    progress: Progress = Progress()


def main(command: Rank) -> None:
    """Ranks, and prints what was measured."""
    nodes = command.where.nodes(threads=1)

    from cmnas_tf.retrieval.measure import results_table
    from cmnas_tf.serving.rank_in_bulk import rank_in_bulk

    found = rank_in_bulk(
        command.query, command.gallery, command.rule, nodes, command.progress.progress
    )
    print(results_table([(command.gallery, found)]))
    print(found.queries)
