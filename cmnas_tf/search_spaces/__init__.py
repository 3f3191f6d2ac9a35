"""What can be searched: a supernet that contains every candidate, and how to read one off it."""

from cmnas_tf.search_spaces.norm_space import NormSpace

__all__ = ["NormSpace"]
