"""A max pooling whose gradient is made of comparisons, which XLA computes in a fixed order.

Its own, a select and a scatter, adds up in any order on a GPU, and so XLA refuses it where every
kernel has to be deterministic, convolutions among them. The slowest of those it tries before the
first step are not.
"""

import tensorflow as tf

from cmnas_tf.layers.torch_padding import pad


@tf.custom_gradient
def shifted_max_pool(x: tf.Tensor):
    """What ``max_pool_3x3`` computes, at stride 2; the first of equal values takes the gradient."""
    padded = pad(x, 1, x.dtype.min)
    y = tf.nn.max_pool2d(padded, 3, 2, "VALID")

    def gradient(dy: tf.Tensor) -> tf.Tensor:
        rows, columns = y.shape[1], y.shape[2]
        taken = tf.zeros_like(y, tf.bool)
        # An input is in the windows of its own parity: of rows, then of columns.
        parities = [[0, 0], [0, 0]]
        for i in range(3):
            for j in range(3):
                hit = padded[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] == y
                share = tf.where(hit & ~taken, dy, tf.zeros([], dy.dtype))
                taken |= hit
                place = [[0, 0], [i // 2, 1 - i // 2], [j // 2, 1 - j // 2], [0, 0]]
                parities[i % 2][j % 2] += tf.pad(share, place)
        grid = tf.stack([tf.stack(row, axis=3) for row in parities], axis=2)
        whole = tf.reshape(grid, [-1, 2 * rows + 2, 2 * columns + 2, y.shape[3]])
        return whole[:, 1 : 1 + x.shape[1], 1 : 1 + x.shape[2]]

    return y, gradient
