"""Is the network any good? Who asks, how the gallery is ranked, how the ranking is measured."""

from cmnas_tf.retrieval.ranking import Ranking, rank, rank_embeddings
from cmnas_tf.retrieval.rerank import re_rank

__all__ = ["Ranking", "rank", "rank_embeddings", "re_rank"]
