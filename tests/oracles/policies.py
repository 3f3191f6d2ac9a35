"""Keras' dtype policy for the length of a block."""

import contextlib
from collections.abc import Iterator

import tf_keras as keras


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers made in the block have the policy called ``name``."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
