"""What a step takes of a GPU's memory, computed from its graph."""

import tensorflow as tf

from benchmarks import memory

MEGABYTES = [1, 100, 100, 100]  # of the float32 images below: 4 MB


@tf.function(autograph=False)
def chain(images, kernel):
    first = tf.nn.conv2d(images, kernel, 1, "SAME")
    activated = tf.nn.relu(2.0 * first + 1.0)
    second = tf.nn.conv2d(activated, kernel, 1, "SAME")
    return tf.reduce_sum(tf.nn.relu(second))


def test_maps_are_held_from_where_they_are_computed_to_where_they_are_read():
    kernel = tf.TensorSpec([1, 1, 100, 100])
    graph = chain.get_concrete_function(tf.TensorSpec(MEGABYTES), kernel).graph
    held = memory.peak_bytes(graph.get_operations())
    # Two maps at a time, and the kernel: the images and the first; that and its activation; that
    # and the second. The product, the sum and the last activation are computed where they are read.
    assert 8_040_000 <= held < 8_041_000


def test_recomputing_and_half_precision_take_less():
    def bytes_of(**how):
        return memory.step_bytes("resnet18", 2, 2, **how)

    plain = bytes_of()
    assert bytes_of(recompute=1) < plain
    assert bytes_of(precision="bfloat16") < plain
    assert bytes_of(supernet=True) < 1.1 * plain
