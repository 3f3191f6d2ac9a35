"""A checkpoint for a test to begin with."""

from cmnas_tf.runs.checkpoints import Checkpoints


def save(folder, step, state, metadata):
    """Writes a checkpoint into a folder of such; gives its path."""
    kept = Checkpoints(folder)
    kept.save(step, state, metadata)
    kept.wait()
    return folder / f"step-{step:08d}.safetensors"
