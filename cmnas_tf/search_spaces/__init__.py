"""What can be searched: spaces of architectures, and the architectures that people name."""

from cmnas_tf.search_spaces.cell_space import AUTO_REID, DARTS, CellSpace, DartsCells
from cmnas_tf.search_spaces.norm_space import NormSpace
from cmnas_tf.search_spaces.space import SPACES, SearchSpace, SpaceChoice, name_of

__all__ = [
    "AUTO_REID",
    "DARTS",
    "SPACES",
    "CellSpace",
    "DartsCells",
    "NormSpace",
    "SearchSpace",
    "SpaceChoice",
    "name_of",
]
