"""Gradients by central differences, in float64."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf


def central_differences(
    function: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-6
) -> np.ndarray:
    """``(f(x + step e) - f(x - step e)) / (2 step)`` for every unit vector e."""
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        moved = np.array([x, x], np.float64)
        moved[(0, *index)] += step
        moved[(1, *index)] -= step
        gradient[index] = (float(function(moved[0])) - float(function(moved[1]))) / (2 * step)
    return gradient


def assert_gradients(
    function: Callable[..., tf.Tensor], inputs: Sequence[np.ndarray], tolerance: float = 1e-7
) -> None:
    """The tape's gradient of ``function`` for each input against central differences.

    Args:
      function: from float64 tensors to a float64 scalar.
      inputs: where to differentiate.
      tolerance: allowed difference, as a share of the gradient's largest entry.
    """
    tensors = [tf.constant(x, tf.float64) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    assert value.dtype == tf.float64
    compiled = tf.function(function)
    for number, gradient in enumerate(tape.gradient(value, tensors)):

        def along(x: np.ndarray, number: int = number) -> tf.Tensor:
            moved = [*tensors]
            moved[number] = tf.constant(x, tf.float64)
            return compiled(*moved)

        expected = central_differences(along, np.asarray(inputs[number], np.float64))
        largest = np.abs(expected).max()
        assert largest > 0, "the function does not depend on this input; nothing is tested"
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * largest)
