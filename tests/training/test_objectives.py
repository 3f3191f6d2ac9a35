"""From settings to objectives."""

import dataclasses

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.losses import Objective
from cmnas_tf.settings import ArchitectureLoss, Loss, Search, SearchSchedule
from cmnas_tf.training.objectives import architecture_objective, weight_objective

LOSS = Loss(
    cross_entropy_weight=1.5,
    triplet_weight=2.5,
    correlation_weight=3.5,
    mmd_weight=4.5,
    margin=0.6,
    label_smoothing=0.7,
)
ARCHITECTURE = ArchitectureLoss(
    architecture_cross_entropy_weight=5.5,
    architecture_triplet_weight=6.5,
    architecture_correlation_weight=7.5,
    architecture_mmd_weight=8.5,
)


def test_the_weights_follow_the_loss():
    assert weight_objective(LOSS) == Objective(1.5, 2.5, 3.5, 4.5, 0.6, 0.7)


def test_the_architecture_has_weights_of_its_own():
    found = architecture_objective(LOSS, ARCHITECTURE, "within_identity")
    assert found == Objective(5.5, 6.5, 7.5, 8.5, 0.6, 0.7)


def test_unknown_identities_have_no_cross_entropy():
    found = architecture_objective(LOSS, ARCHITECTURE, "identities")
    assert found == Objective(0.0, 6.5, 7.5, 8.5, 0.6, 0.7)


def test_the_defaults_are_the_papers_terms():
    """Cross entropy 1, triplet 1 with margin 0.4, C3MMD with 5.0 and 0.05."""
    published = Objective(1.0, 1.0, 5.0, 0.05, 0.4, 0.0)
    assert weight_objective(Loss()) == published
    assert architecture_objective(Loss(), ArchitectureLoss(), "within_identity") == published


def test_classification_is_cross_entropy_alone_for_both():
    loss = dataclasses.replace(LOSS, objective="classification")
    alone = Objective(1.0, 0.0, 0.0, 0.0, 0.6, 0.7)
    assert weight_objective(loss) == alone
    assert architecture_objective(loss, ARCHITECTURE, "within_identity") == alone


def test_classification_needs_identities_that_the_classifier_knows():
    loss, schedule = Loss(objective="classification"), SearchSchedule(split="identities")
    with pytest.raises(BadInput, match=r"--objective=classification .* give --split=within_id"):
        Search(loss=loss, schedule=schedule)
