"""Everything PyTorch-shaped: names and layouts of weights."""

from cmnas_tf.weights.torch_names import LoadReport, load_torch_state

__all__ = ["LoadReport", "load_torch_state"]
