"""From the settings of a search to what its step consists of."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf import settings
from cmnas_tf.errors import BadInput
from cmnas_tf.searching.search_step import make_bilevel, objectives_of
from cmnas_tf.searching.spaces import search_space


def bilevel(**groups):
    """That of a narrow ResNet-18 on five identities, with the groups of settings given."""
    plain = {
        "network": settings.Network(backbone="resnet18", width=1 / 16),
        "input": settings.Input(image_height=32, image_width=16),
        "batch": settings.Batch(identities_per_batch=4, images_per_identity=3),
    }
    search = settings.Search(**{**plain, **groups})
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    return make_bilevel(search, strategy, search_space(search), 5, objectives_of(search))


def test_of_the_default_settings():
    """Logits of 0, which the architecture's optimizer trains, and C3MMD in both objectives: the
    architecture's without cross entropy, since its people are none of the classifier's."""
    made = bilevel(schedule=settings.SearchSchedule(split="identities"))
    logits = made.architecture_optimizer.trained
    assert len(logits) == 20
    np.testing.assert_array_equal(logits, np.zeros((20, 2)))
    assert made.use_running_statistics and not made.second_order
    assert made.images_per_identity == 3
    assert made.architecture_objective.cross_entropy == 0
    assert made.weight_objective.cross_entropy == 1
    for objective in (made.architecture_objective, made.weight_objective):
        assert (objective.correlation, objective.mmd) == (5, 0.05)
    assert not made.network.backbone.recompute


def test_of_other_settings():
    made = bilevel(
        schedule=settings.SearchSchedule(order="second", architecture_statistics="batch"),
        architecture_loss=settings.ArchitectureLoss(architecture_mmd_weight=0),
        devices=settings.TrainingDevices(recompute=True),
    )
    assert made.second_order and not made.use_running_statistics
    assert made.architecture_objective.mmd == 0
    assert made.weight_objective.mmd == 0.05
    assert made.network.backbone.recompute


def test_the_same_seed_begins_with_the_same_weights():
    first, again, other = (
        bilevel(run=settings.Run(seed=seed)).network.get_weights() for seed in (1, 1, 2)
    )
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert any((one != different).any() for one, different in zip(first, other, strict=True))


def test_a_space_without_costs():
    with pytest.raises(BadInput, match="--latency_weight is for a search for cells"):
        bilevel(architecture_loss=settings.ArchitectureLoss(latency_weight=0.5))
