"""DARTS: what its options mean, what contradicts itself, and what its step consists of."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.data import Dataset, Image, Images
from cmnas_tf.data.augmentation import ImageSize
from cmnas_tf.data.sampling import Sampling
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import Gdas, GumbelSoftmax, Softmax
from cmnas_tf.losses import ArchitectureWeights, Objective
from cmnas_tf.modality import MODALITIES
from cmnas_tf.models import Embeddings
from cmnas_tf.search_spaces import CellSpace, NormSpace
from cmnas_tf.searching import Darts
from cmnas_tf.training.loss_scale import LossScaled
from cmnas_tf.training.recipe import Numerics

OBJECTIVE = Objective(
    cross_entropy=1.5, triplet=2.5, correlation=3.5, mmd=4.5, margin=0.6, label_smoothing=0.7
)
ARCHITECTURE = ArchitectureWeights(cross_entropy=5.5, triplet=6.5, correlation=7.5, mmd=8.5)
OF_ARCHITECTURE = Objective(
    cross_entropy=5.5, triplet=6.5, correlation=7.5, mmd=8.5, margin=0.6, label_smoothing=0.7
)
SMALL = Darts(
    size=ImageSize(image_height=32, image_width=16),
    sampling=Sampling(identities_per_batch=4, images_per_identity=3),
)
NORMS = NormSpace("resnet18", width=1 / 16)
CELLS = CellSpace((1, 1), width=1 / 16)


def begin(darts=SMALL, space=NORMS, seed=0):
    """Its step on one device, for five identities, and its mixture."""
    return darts.begin(space, 5, tf.distribute.OneDeviceStrategy("CPU:0"), seed)


def task_of(modalities):
    """As much of a task as is looked at before anything is computed."""
    table = Images.of(Image(f"{modality}.jpg", 1, 1, modality) for modality in modalities)
    images = SimpleNamespace(dataset=Dataset("own_images", Path(), table, table))
    return SimpleNamespace(images=images, space=NORMS, split=None)


def test_warm_up_must_leave_an_epoch_to_the_architecture():
    assert Darts(epochs=10, warmup_epochs=9).warmup_epochs == 9
    for epochs, warmup in ((10, 10), (10, 12), (5, 10)):
        message = rf"warmup_epochs={warmup} leaves no epoch of epochs={epochs} for"
        with pytest.raises(BadInput, match=message):
            Darts(epochs=epochs, warmup_epochs=warmup)


def test_differences_of_gradients_need_digits():
    assert Darts(order="second").order == "second"
    for precision in ("bfloat16", "float16"):
        narrow = Numerics(precision=precision)
        assert Darts(numerics=narrow).numerics is narrow
        with pytest.raises(BadInput, match=rf"order=second takes .* precision={precision} has"):
            Darts(order="second", numerics=narrow)


def test_classification_needs_identities_that_the_classifier_knows():
    """Said before anything is computed."""
    darts = Darts(objective=Objective(objective="classification"), split="identities")
    with pytest.raises(BadInput, match=r"objective=classification .* give split=within_identity"):
        darts.check(task_of(MODALITIES))


def test_the_architecture_has_weights_of_its_own():
    """Of the losses; their options are those of the weights' objective."""
    darts = Darts(objective=OBJECTIVE, architecture_weights=ARCHITECTURE)
    assert darts.objective == OBJECTIVE
    assert darts.architecture_objective == OF_ARCHITECTURE
    # Named flat, as on a command line.
    names = ("cross_entropy", "triplet", "correlation", "mmd")
    flat = {
        f"{name}_weight": weight for name, weight in zip(names, (1.5, 2.5, 3.5, 4.5), strict=True)
    }
    flat |= {
        f"architecture_{name}_weight": w
        for name, w in zip(names, (5.5, 6.5, 7.5, 8.5), strict=True)
    }
    assert Darts().with_values(margin=0.6, label_smoothing=0.7, **flat) == darts


def test_unknown_identities_have_no_cross_entropy():
    darts = Darts(objective=OBJECTIVE, architecture_weights=ARCHITECTURE, split="identities")
    assert darts.architecture_objective == OF_ARCHITECTURE.with_values(cross_entropy_weight=0.0)
    assert darts.objective == OBJECTIVE


def test_the_defaults_are_the_papers_terms():
    """Cross entropy 1, triplet 1 with margin 0.4, C3MMD with 5.0 and 0.05."""
    published = Objective(
        cross_entropy=1.0, triplet=1.0, correlation=5.0, mmd=0.05, margin=0.4, label_smoothing=0.0
    )
    assert Darts().objective == Darts().architecture_objective == published


def test_classification_is_cross_entropy_alone_for_both():
    classifying = OBJECTIVE.with_values(objective="classification")
    darts = Darts(objective=classifying, architecture_weights=ARCHITECTURE)
    for objective in (darts.objective, darts.architecture_objective):
        assert objective.weights["cross_entropy"] == 1.0
        assert sum(objective.weights.values()) == 1.0
        assert (objective.values()["margin"], objective.values()["label_smoothing"]) == (0.6, 0.7)


def test_one_modality_leaves_out_what_compares_two_for_both():
    darts = Darts().for_modalities(["visible"])
    for objective in (darts.objective, darts.architecture_objective):
        used = {name for name, weight in objective.weights.items() if weight}
        assert used == {"cross_entropy", "triplet"}
    assert Darts().for_modalities(MODALITIES) == Darts()


def test_data_that_one_of_the_objectives_cannot_be_computed_of():
    """Weights that were given are not left out in silence."""
    task = task_of(["visible"])
    Darts().for_modalities(["visible"]).check(task)
    for given, name in (
        (Darts(objective=Objective(mmd=0.1)), "mmd"),
        (Darts(architecture_weights=ArchitectureWeights(correlation=0.1)), "correlation"),
    ):
        with pytest.raises(BadInput, match=rf"^{name} compare two modalities, .* all visible"):
            given.for_modalities(["visible"]).check(task)


@pytest.mark.parametrize(
    ("name", "kind"), [("softmax", Softmax), ("gumbel", GumbelSoftmax), ("gdas", Gdas)]
)
def test_how_logits_become_weights(name, kind):
    """What draws has the seed of the run and the temperatures."""
    temperatures = {"initial_temperature": 4.0, "final_temperature": 0.8}
    for darts, expected in (
        (Darts(relaxation=name), (5.0, 0.5)),
        (Darts(relaxation=name, **temperatures), (4.0, 0.8)),
    ):
        made = darts.make_relaxation(7)
        assert type(made) is kind
        if name != "softmax":
            assert (made.seed, made.initial, made.final) == (7, *expected)


@pytest.mark.parametrize("space", [NORMS, CELLS])
def test_the_supernet_has_the_mixture_that_the_search_prepares(space):
    """Logits far apart are a decision for the softmax; at an infinite temperature they are not."""
    hot = replace(SMALL, relaxation="gumbel", initial_temperature=1e9, final_temperature=0.01)
    bilevel, relaxation = begin(hot, space)
    for logits in space.logits(bilevel.network).values():
        logits.assign(tf.one_hot(tf.zeros(logits.shape[:-1], tf.int32), logits.shape[-1]) * 50.0)
    noise = tf.random.stateless_normal([2, 4, 32, 16, 3], [0, 1])
    images = {"visible": noise[0], "infrared": 2.0 + 3.0 * noise[1]}

    def embedding():
        return bilevel.network(images, training=True).embedding.numpy()

    relaxation.prepare(0, 0.0)
    even = embedding()
    relaxation.prepare(0, 1.0)
    assert abs(embedding() - even).max() > 1e-3 * abs(even).max()


def test_of_the_default_options():
    """Logits of 0, which the architecture's optimizer trains, and C3MMD in both objectives: the
    architecture's without cross entropy, since its people are none of the classifier's."""
    made, relaxation = begin(replace(SMALL, split="identities"))
    assert isinstance(relaxation, Softmax)
    logits = made.architecture_optimizer.trained
    assert len(logits) == 20
    np.testing.assert_array_equal(logits, np.zeros((20, 2)))
    assert made.use_running_statistics and not made.second_order
    assert made.images_per_identity == 3
    assert made.architecture_objective.weights["cross_entropy"] == 0
    assert made.weight_objective.weights["cross_entropy"] == 1
    for objective in (made.architecture_objective, made.weight_objective):
        assert (objective.weights["correlation"], objective.weights["mmd"]) == (5, 0.05)
    assert not made.network.backbone.rematerialize
    assert not made.network.head.neck.synchronized
    optimizer = made.architecture_optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay) == (1e-3, 1e-3)


def test_of_other_options():
    made, _ = begin(
        SMALL.with_values(
            order="second",
            architecture_statistics="batch",
            architecture_mmd_weight=0.0,
            recompute=True,
            batch_norm="synchronized",
            architecture_learning_rate=0.5,
            architecture_weight_decay=0.25,
            backbone_learning_rate=0.125,
        )
    )
    assert made.second_order and not made.use_running_statistics
    assert made.architecture_objective.weights["mmd"] == 0
    assert made.weight_objective.weights["mmd"] == 0.05
    assert made.network.backbone.rematerialize
    assert made.network.head.neck.synchronized
    optimizer = made.architecture_optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay) == (0.5, 0.25)
    assert made.weight_optimizer.groups[0].learning_rate == 0.125


def test_narrow_numbers_scale_both_losses():
    made, _ = begin(SMALL.with_values(precision="float16"))
    assert isinstance(made.architecture_optimizer, LossScaled)
    assert isinstance(made.weight_optimizer, LossScaled)
    assert made.network.compute_dtype == "float16"


def test_the_same_seed_begins_with_the_same_weights():
    first, again, other = (begin(seed=seed)[0].network.get_weights() for seed in (1, 1, 2))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert any((one != different).any() for one, different in zip(first, other, strict=True))


def test_images_too_small_for_the_supernet():
    with pytest.raises(
        BadInput, match=r"Images 16 pixels high are too small .* image_height=\d+ or more"
    ):
        begin(SMALL.with_values(image_height=16, image_width=8), CELLS)


def test_a_space_without_costs():
    with pytest.raises(BadInput, match="`latency_weight` is for a search for cells"):
        begin(SMALL.with_values(latency_weight=0.5))


def test_the_latency_weight_adds_the_expected_cost_to_the_architectures_loss_alone():
    """1 at even probabilities, weighed and added to the total; the weights know nothing of it. Its
    gradient lowers what costs most."""
    plain, _ = begin(SMALL)
    costly, _ = begin(SMALL.with_values(latency_weight=2.0), CELLS)
    assert costly.weight_objective == plain.weight_objective == SMALL.objective
    noise = np.random.default_rng(0).standard_normal((2, 3, 6, 5)).astype(np.float32)
    outputs = {m: Embeddings(*map(tf.constant, n)) for m, n in zip(MODALITIES, noise, strict=True)}
    given = outputs, tf.constant([0, 0, 1, 1, 2, 2]), 2
    before, after = (made.architecture_objective(*given) for made in (plain, costly))
    assert set(after) == {*before, "expected_cost"}
    np.testing.assert_allclose(after["expected_cost"], 1.0, rtol=1e-6)
    np.testing.assert_allclose(after["total"], before["total"] + 2.0, rtol=1e-6)

    logits = costly.architecture_optimizer.trained
    with tf.GradientTape() as tape:
        total = costly.architecture_objective(*given)["total"]
    gradients = dict(zip(("normal", "reduction"), tape.gradient(total, logits), strict=True))
    place = {name: number for number, name in enumerate(CellSpace.candidates)}
    for gradient in gradients.values():
        edge = gradient.numpy()[0]
        assert edge[place["sep_conv_3x3"]] > edge[place["none"]]
        np.testing.assert_allclose(edge.sum(), 0, atol=1e-6)
