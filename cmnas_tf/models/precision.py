"""The numbers a network is computed in; its variables are float32 in any case."""

import contextlib
from collections.abc import Iterator

import tf_keras as keras

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextlib.contextmanager
def computed_in(precision: str) -> Iterator[None]:
    """Networks made in the block compute in this precision, wherever they are called.

    Convolutions and the normalisation of feature maps take and give the narrow numbers. Weights,
    batch statistics, mixture weights, the head's outputs, and with them losses and ranking, are
    float32.

    Args:
      precision: ``"float32"``, ``"bfloat16"`` or ``"float16"``.

    Raises:
      ValueError: another one.
    """
    if precision not in POLICIES:
        raise ValueError(f"precision must be one of {tuple(POLICIES)}. Received: {precision!r}")
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
