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
    compiled = tf.function(function, autograph=False)
    for number, gradient in enumerate(tape.gradient(value, tensors)):

        def along(x: np.ndarray, number: int = number) -> tf.Tensor:
            moved = [*tensors]
            moved[number] = tf.constant(x, tf.float64)
            return compiled(*moved)

        expected = central_differences(along, np.asarray(inputs[number], np.float64))
        largest = np.abs(expected).max()
        assert largest > 0, "the function does not depend on this input; nothing is tested"
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * largest)


def assert_variable_gradients(
    function: Callable[[], tf.Tensor], variables: Sequence[tf.Variable], tolerance: float = 1e-7
) -> None:
    """The tape's gradient of ``function`` for each variable against central differences.

    Args:
      function: gives a float64 scalar of what the variables are at the time.
      variables: float64; they are afterwards what they were before.
      tolerance: allowed difference, as a share of the largest entry of all gradients: some may be
        zero, such as that of a bias in front of a batch norm.
    """
    with tf.GradientTape() as tape:
        value = function()
    assert value.dtype == tf.float64
    compiled = tf.function(function, autograph=False)
    expected = []
    for variable in variables:
        start = variable.numpy()

        def at(moved: np.ndarray, variable: tf.Variable = variable) -> tf.Tensor:
            variable.assign(moved)
            return compiled()

        expected.append(central_differences(at, start))
        variable.assign(start)
    largest = max(np.abs(gradient).max() for gradient in expected)
    assert largest > 0, "the function depends on none of the variables; nothing is tested"
    for variable, gradient, other in zip(
        variables, tape.gradient(value, variables), expected, strict=True
    ):
        np.testing.assert_allclose(
            gradient, other, rtol=0, atol=tolerance * largest, err_msg=variable.name
        )
