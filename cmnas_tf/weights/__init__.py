"""Everything PyTorch-shaped: files, names and layouts of weights."""

from cmnas_tf.weights.loading import LoadReport, load_initial_state, load_torch_state

__all__ = ["LoadReport", "load_initial_state", "load_torch_state"]
