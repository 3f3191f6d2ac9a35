"""What can be searched: spaces of architectures, and the architectures that people name."""

from cmnas_tf.search_spaces.norm_space import NormSpace  # the first to be registered
from cmnas_tf.search_spaces.space import SPACES, SearchSpace, SpaceChoice

# isort: split
from cmnas_tf.search_spaces.cell_space import AUTO_REID, DARTS, CellSpace, DartsCells

__all__ = [
    "AUTO_REID",
    "DARTS",
    "SPACES",
    "CellSpace",
    "DartsCells",
    "NormSpace",
    "SearchSpace",
    "SpaceChoice",
]
