"""Which rows of a batch belong to which modality."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.modality import Rows


def test_rows_of_both_modalities():
    """Two visible rows, then three infrared ones."""
    x = np.arange(5)
    parts = Rows({"visible": 2, "infrared": 3}).split(x)
    assert list(parts) == ["visible", "infrared"]
    np.testing.assert_array_equal(parts["visible"], [0, 1])
    np.testing.assert_array_equal(parts["infrared"], [2, 3, 4])


@pytest.mark.parametrize("modality", ["visible", "infrared"])
def test_rows_of_one_modality_are_not_copied(modality):
    x = np.arange(4)
    parts = Rows({modality: 4}).split(x)
    assert list(parts) == [modality] and parts[modality] is x


def test_counts_may_be_tensors():
    split = tf.function(
        lambda v, i: Rows({"visible": tf.shape(v)[0], "infrared": tf.shape(i)[0]}).split(
            tf.concat([v, i], axis=0)
        ),
        input_signature=[tf.TensorSpec([None, 1])] * 2,
    )
    parts = split(tf.ones([1, 1]), tf.zeros([3, 1]))
    np.testing.assert_array_equal(parts["visible"], [[1]])
    np.testing.assert_array_equal(parts["infrared"], [[0]] * 3)


@pytest.mark.parametrize(
    "counts",
    [{}, {"infrared": 1, "visible": 2}, {"thermal": 3}, {"visible": 1, "thermal": 3}],
    ids=str,
)
def test_other_orders_and_names_are_refused(counts):
    with pytest.raises(ValueError, match=r"'visible', 'infrared'.*in this order") as raised:
        Rows(counts)
    assert str(list(counts)) in str(raised.value)
