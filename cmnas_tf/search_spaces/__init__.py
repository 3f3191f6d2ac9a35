"""What can be searched: a supernet that contains every candidate, and how to read one off it."""

from cmnas_tf.search_spaces.cell_space import AUTO_REID, DARTS, CellSpace
from cmnas_tf.search_spaces.norm_space import NormSpace

__all__ = ["AUTO_REID", "DARTS", "CellSpace", "NormSpace"]
