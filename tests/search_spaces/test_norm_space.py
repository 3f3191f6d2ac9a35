"""The supernet of CM-NAS, its logits, and what is derived from them."""

import math

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture, sites_of
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from cmnas_tf.layers import MixedModalityNorm, Softmax
from cmnas_tf.losses import Objective
from cmnas_tf.modality import Rows
from cmnas_tf.models import Head, ReidNetwork, two_stream
from cmnas_tf.options import described
from cmnas_tf.search_spaces import NormSpace
from tests.models.genotypes import EVERYTHING
from tests.oracles.finite_differences import central_differences
from tests.oracles.policies import dtype_policy

SITES = sites_of("resnet18")
SPACE = NormSpace("resnet18", width=1 / 16)
ROWS = Rows({"visible": 4, "infrared": 4})
LABELS = tf.constant([0, 0, 2, 2])


def images() -> tuple[np.ndarray, np.ndarray]:
    """Two identities, two images each, per modality."""
    rng = np.random.default_rng(1)
    visible = rng.standard_normal((4, 32, 32, 3))
    return visible, 0.5 * visible + rng.standard_normal((4, 32, 32, 3))


@pytest.fixture
def supernet():
    return SPACE.supernet(Softmax(), num_classes=3)


def set_logits(supernet, seed: int = 2, scale: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = {site: scale * rng.standard_normal(2) for site in SITES}
    for site, logits in SPACE.logits(supernet).items():
        logits.assign(values[site])
    return values


def test_contains_three_norms_and_two_logits_at_each_site(supernet):
    """20 sites of 3 * 4 + 1 variables, 20 convolutions, the neck's four and the classifier."""
    norms = supernet.backbone.norms()
    assert list(norms) == list(SITES)
    assert all(isinstance(norm, MixedModalityNorm) for norm in norms.values())
    assert len({norm.name for norm in norms.values()}) == len(SITES)
    assert len(supernet.weights) == 20 * 13 + 20 + 4 + 1
    assert len(supernet.trainable_weights) == 20 * 7 + 20 + 1 + 1


def test_logits_are_those_of_the_sites_and_start_at_zero(supernet):
    logits = SPACE.logits(supernet)
    assert list(logits) == list(SITES)
    assert logits["layer2.0.downsample"] is (
        supernet.backbone.layer2[0].downsample.bn.architecture_logits
    )
    assert {tuple(variable.numpy()) for variable in logits.values()} == {(0.0, 0.0)}


def test_probabilities_are_the_softmax(supernet):
    values = set_logits(supernet)
    expected = {site: math.exp(a) / (math.exp(a) + math.exp(b)) for site, (a, b) in values.items()}
    assert SPACE.probability_of_separate(supernet) == pytest.approx(expected, rel=1e-5)


def test_derives_the_larger_logit_and_shared_on_a_tie(supernet):
    """(0.1, 0) separate, (0, 0.1) shared, (0.3, 0.3) a tie; every other site starts as a tie."""
    logits = SPACE.logits(supernet)
    logits["stem"].assign([0.1, 0.0])
    logits["layer1.0.bn1"].assign([0.0, 0.1])
    logits["layer1.0.bn2"].assign([0.3, 0.3])
    architecture = SPACE.derive(supernet, {"seed": 7})
    assert architecture.backbone == "resnet18"
    assert dict(architecture.choices) == {**dict.fromkeys(SITES, "shared"), "stem": "separate"}
    found = architecture.provenance
    assert found["seed"] == 7
    assert found["ties"] == [site for site in SITES if site not in ("stem", "layer1.0.bn1")]
    assert found["probability_of_separate"]["stem"] == pytest.approx(1 / (1 + math.exp(-0.1)))
    assert found["probability_of_separate"]["layer4.1.bn2"] == 0.5


def test_summary_counts_bits_and_leaning_sites(supernet):
    """At even odds every site has one bit; decided sites have none, even at overflowing logits."""
    scalars, words = SPACE.summary(supernet)
    assert bits_of(scalars) == pytest.approx(1.0)
    assert scalars["architecture/separate"] == 0 and words == "separate 0/20"
    for site, logits in SPACE.logits(supernet).items():
        logits.assign([800.0, 0.0] if site.startswith("layer1") else [0.0, 800.0])
    scalars, words = SPACE.summary(supernet)
    assert bits_of(scalars) == pytest.approx(0.0, abs=1e-6)
    assert scalars["architecture/separate"] == 4 and words == "separate 4/20"
    assert scalars["probability_of_separate/layer1.1.bn1"] == pytest.approx(1.0)


def bits_of(scalars) -> float:
    (bits,) = (value for name, value in scalars.items() if "entropy" in name)
    return bits


@pytest.mark.parametrize("training", [True, False])
def test_decided_logits_make_it_the_derived_network(supernet, training):
    """The other norm has no weight: with the weights of the supernet the derived network computes
    the same, in both modes; and it is what would be derived.
    """
    rng = np.random.default_rng(5)
    for weight in supernet.weights:
        weight.assign(weight + 0.2 * rng.random(weight.shape))
    choices = {site: "shared" if n % 3 else "separate" for n, site in enumerate(SITES)}
    architecture = Architecture(choices, "resnet18")
    SPACE.select(supernet, architecture)
    assert SPACE.derive(supernet, {}) == architecture
    derived = two_stream(architecture, 3, "resnet18", width=1 / 16)
    weights = supernet.get_weight_paths()
    for path, weight in derived.get_weight_paths().items():
        weight.assign(weights[path])
    inputs = [x.astype(np.float32) for x in images()]
    for mine, theirs in zip(
        supernet(inputs, training=training), derived(inputs, training=training), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max())


def test_random_architectures_are_as_separate_as_the_one_they_are_like():
    """Every site is as likely as any other: 7 of 20 in the mean, over 400 draws within 5 standard
    deviations of sqrt(0.35 * 0.65 / 400) = 0.024."""
    like = Architecture(
        {site: "separate" if n < 7 else "shared" for n, site in enumerate(SITES)}, "resnet18"
    )
    drawn = [SPACE.random_like(like, seed) for seed in range(400)]
    assert {len(SPACE.chosen(found)) for found in drawn} == {7}
    assert SPACE.random_like(like, 3) == drawn[3] != drawn[4]
    assert SPACE.chosen(like) == list(SITES[:7])
    for site in SITES:
        part = np.mean([found.choices[site] == "separate" for found in drawn])
        assert abs(part - 0.35) < 5 * 0.024
    for extreme in (Architecture.shared("resnet18"), Architecture.separate("resnet18")):
        assert SPACE.random_like(extreme, 0) == extreme
    assert SPACE.contains(like) and not SPACE.contains(Architecture.shared("resnet34"))


def test_every_site_is_a_decision_between_two():
    """2^53 architectures of a ResNet-50."""
    assert SPACE.decisions() == dict.fromkeys(SITES, ("separate", "shared"))
    assert math.prod(map(len, NormSpace().decisions().values())) == 2**53


def test_random_architectures_are_as_often_separate_as_shared_at_every_site():
    """Over 400 draws within 5 standard deviations of sqrt(0.25 / 400) = 0.025; neighbouring sites
    agree as often as not."""
    drawn = [SPACE.random(seed) for seed in range(400)]
    assert all(SPACE.contains(found) for found in drawn)
    assert SPACE.random(3) == drawn[3] != drawn[4]
    assert drawn[3].provenance["drawn"] == {"seed": 3}
    separate = np.array([[found.choices[s] == "separate" for s in SITES] for found in drawn])
    agree = separate == np.roll(separate, 1, axis=1)
    for events in (separate, agree):
        assert (np.abs(events.mean(axis=0) - 0.5) < 5 * 0.025).all()


def test_a_mutation_changes_one_site():
    """Every one of 20 is as likely: 0.05 of 1000, within 5 standard deviations of 0.0069."""
    given = Architecture.separate_until("layer2", "resnet18")
    before, counts = dict(given.choices), dict.fromkeys(SITES, 0)
    for seed in range(1000):
        found = SPACE.mutate(given, seed)
        (site,) = (site for site in SITES if found.choices[site] != before[site])
        assert SPACE.contains(found)
        counts[site] += 1
    assert dict(given.choices) == before
    assert SPACE.mutate(given, 7) == SPACE.mutate(given, 7)
    assert all(abs(count / 1000 - 0.05) < 5 * 0.0069 for count in counts.values())


def test_the_backbone_is_a_name_a_plan_or_a_file(tmp_path):
    """Its cells can be other ones; what is recorded is the plan and not the file's path."""
    plan, path = CellPlan(EVERYTHING, (1, 2)), tmp_path / "genotype.json"
    EVERYTHING.save(path)
    assert NormSpace(backbone="").backbone == NormSpace().backbone == "resnet50"
    assert NormSpace(backbone=str(path)).backbone == CellPlan(EVERYTHING)
    for given in (str(path), CellPlan(EVERYTHING), plan):
        space = NormSpace(backbone=given, cells=(1, 2))
        assert space.backbone == plan
        assert NormSpace.of_values(space.values()) == space
        assert described([space])["backbone"] == plan.to_json()
    assert space.with_values(cells=(2, 1)).backbone == CellPlan(EVERYTHING, (2, 1))
    assert described([NormSpace("resnet18")]) == {
        "backbone": "resnet18",
        "cells": [],
        "width": 1.0,
        "last_stride": 1,
        "separate_stem": False,
        "non_local": [],
        "pooling": "average",
    }
    with pytest.raises(BadInput, match=r"^cells=1,2 is for a network of cells, and resnet18 has"):
        NormSpace("resnet18", cells=(1, 2))


def test_earlier_records_of_a_backbone_mean_the_same(tmp_path):
    """A path, that of no backbone, a name, and a plan: each is recorded as it would be today."""
    recorded = next(o.recorded for o in NormSpace.options() if o.name == "backbone")
    Architecture.separate("resnet34").save(tmp_path / "a.json")
    plan = CellPlan(EVERYTHING, (1, 1))
    assert recorded("") == "resnet50" and recorded("resnet18") == "resnet18"
    assert recorded(str(tmp_path / "a.json")) == "resnet34"
    assert recorded(plan) == recorded(plan.to_json()) == plan.to_json()


def test_probabilities_are_what_was_derived_from(supernet):
    set_logits(supernet)
    architecture = SPACE.derive(supernet, {})
    assert SPACE.probabilities(architecture) == SPACE.probability_of_separate(supernet)


def test_searches_the_norms_of_a_network_of_cells():
    """Every site of the plan has its two logits, pools' norms without scale and offset too."""
    plan = CellPlan(EVERYTHING, (1, 1))
    space = NormSpace(plan, width=1 / 16)
    supernet = space.supernet(Softmax(), num_classes=3)
    logits = space.logits(supernet)
    assert tuple(logits) == plan.sites()
    logits["layer2.0.node3.input0.bn"].assign([1.0, 0.0])
    architecture = space.derive(supernet, {})
    assert [s for s, c in architecture.choices.items() if c == "separate"] == [
        "layer2.0.node3.input0.bn"
    ]
    derived = two_stream(architecture, 3, plan, width=1 / 16)
    names = [path for path in derived.get_weight_paths() if "layer2.0.node3.input0" in path]
    prefix = "backbone.layer2.0.node3.input0.bn"
    assert sorted(names) == [
        f"{prefix}.{modality}.{name}"
        for modality in ("infrared", "visible")
        for name in ("moving_mean", "moving_variance")
    ]
    with tf.GradientTape() as tape:
        outputs = supernet([x[:, :, :16] for x in images()], training=True)
        total = tf.reduce_sum(outputs.pooled**2)
    assert all(tf.norm(gradient) > 0 for gradient in tape.gradient(total, list(logits.values())))


@pytest.mark.slow
def test_gradient_of_every_logit_through_the_whole_supernet():
    """The objective's gradient for all 20 x 2 logits against central differences, in float64."""
    with dtype_policy("float64"):
        backbone = SPACE.supernet(Softmax(), num_classes=3).backbone
        supernet = ReidNetwork(backbone, Head(3, dtype="float64"))
        supernet([tf.zeros([1, 32, 32, 3], tf.float64)] * 2)
    rng = np.random.default_rng(3)
    for weight in supernet.weights:
        weight.assign(weight + 0.1 * rng.standard_normal(weight.shape))
    set_logits(supernet)
    logits = list(SPACE.logits(supernet).values())
    batch = [tf.constant(x) for x in images()]

    def loss():
        outputs = supernet(batch, training=True).by_modality(ROWS)
        return Objective()(outputs, LABELS, images_per_identity=2)["total"]

    with tf.GradientTape() as tape:
        value = loss()
    gradients = np.stack(tape.gradient(value, logits))  # [20, 2]

    @tf.function(autograph=False)
    def loss_at(values):
        for variable, value in zip(logits, tf.unstack(values), strict=True):
            variable.assign(value)
        return loss()

    start = np.stack([variable.numpy() for variable in logits])
    expected = central_differences(loss_at, start)
    assert (np.abs(expected) > 1e-6).all()
    np.testing.assert_allclose(gradients, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    # Adding the same number to both logits of a site changes nothing.
    np.testing.assert_allclose(gradients.sum(axis=1), 0.0, atol=1e-9 * np.abs(expected).max())
