"""The objective: which terms, how they are weighed, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.errors import BadInput
from cmnas_tf.losses import ArchitectureWeights, Objective, formulas
from cmnas_tf.losses.objective import short_name
from cmnas_tf.models import Embeddings
from tests.oracles import losses as oracle
from tests.oracles.finite_differences import assert_gradients

PUBLISHED = ("cross_entropy", "triplet", "correlation", "mmd")
LABELS = np.array([2, 2, 0, 0, 3, 3])
IMAGES = 2


def part(seed: int) -> Embeddings:
    """Six rows of one modality: three identities, two images each."""
    rng = np.random.default_rng(seed)
    return Embeddings(*(rng.standard_normal((6, n)) for n in (5, 5, 4)))


VISIBLE, INFRARED = part(1), part(2)
BOTH = {"visible": VISIBLE, "infrared": INFRARED}


def expected_terms(margin: float = 0.4, smoothing: float = 0.0) -> dict[str, float]:
    v, i = VISIBLE, INFRARED
    pairs = [(v, v), (i, i), (v, i), (i, v)]
    triplets = [oracle.hard_triplet(a.pooled, c.pooled, LABELS, margin) for a, c in pairs]
    logits = np.concatenate([v.logits, i.logits])
    return {
        "cross_entropy": oracle.cross_entropy(logits, np.tile(LABELS, 2), smoothing),
        "triplet": float(np.mean(triplets)),
        "correlation": oracle.correlation_consistency(v.embedding, i.embedding),
        "mmd": oracle.class_mmd(v.embedding, i.embedding, IMAGES),
    }


def test_the_default_is_the_authors_weighing():
    """Cross entropy + triplet (margin 0.4) + 5 correlation + 0.05 class-specific MMD."""
    terms = {name: float(value) for name, value in Objective()(BOTH, LABELS, IMAGES).items()}
    e = expected_terms()
    total = e["cross_entropy"] + e["triplet"] + 5.0 * e["correlation"] + 0.05 * e["mmd"]
    assert terms == pytest.approx({**e, "total": total}, abs=2e-6)


def test_margin_and_smoothing_reach_their_terms():
    terms = Objective(margin=-1.0, label_smoothing=0.1)(BOTH, LABELS, IMAGES)
    expected = expected_terms(margin=-1.0, smoothing=0.1)
    for name in ("triplet", "cross_entropy"):
        assert float(terms[name]) == pytest.approx(expected[name], abs=2e-6)


@pytest.mark.parametrize("off", PUBLISHED)
def test_a_term_of_weight_0_is_not_computed(off, monkeypatch):
    module, function = {
        "cross_entropy": (formulas, "cross_entropy"),
        "triplet": (formulas, "cross_modality_triplet"),
        "correlation": (formulas, "correlation_consistency"),
        "mmd": (formulas, "class_mmd"),
    }[off]

    def must_not_run(*_):
        raise AssertionError(f"{off} has weight 0 and was computed")

    monkeypatch.setattr(module, function, must_not_run)
    terms = Objective(**{**dict.fromkeys(PUBLISHED, 2.0), off: 0.0})(BOTH, LABELS, IMAGES)
    rest = {name: value for name, value in expected_terms().items() if name != off}
    values = {name: float(value) for name, value in terms.items()}
    assert values == pytest.approx({**rest, "total": 2.0 * sum(rest.values())}, abs=2e-5)


@pytest.mark.parametrize("modality", ["visible", "infrared"])
def test_one_modality_alone(modality):
    """Ordinary re-ID: cross entropy and the plain triplet, no term between modalities."""
    rows = BOTH[modality]
    terms = Objective(correlation=0, mmd=0)({modality: rows}, LABELS, IMAGES)
    expected = {
        "cross_entropy": oracle.cross_entropy(rows.logits, LABELS),
        "triplet": oracle.hard_triplet(rows.pooled, rows.pooled, LABELS, 0.4),
    }
    values = {name: float(value) for name, value in terms.items()}
    assert values == pytest.approx({**expected, "total": sum(expected.values())}, abs=2e-6)


@pytest.mark.parametrize("term", ["correlation", "mmd"])
def test_a_term_between_modalities_needs_both(term):
    objective_of_term = Objective(**{**dict.fromkeys(PUBLISHED, 0.0), term: 1.0})
    with pytest.raises(ValueError, match=rf"{term} compare.*all infrared.*to 0"):
        objective_of_term({"infrared": INFRARED}, LABELS, IMAGES)


def test_all_weights_0_is_refused():
    with pytest.raises(ValueError, match="weight 0"):
        Objective(**dict.fromkeys(PUBLISHED, 0.0))(BOTH, LABELS, IMAGES)


def test_gradient_of_the_total():
    """For every input: visible and infrared pooled features, embeddings and logits."""

    def total(*fields: tf.Tensor) -> tf.Tensor:
        outputs = {"visible": Embeddings(*fields[:3]), "infrared": Embeddings(*fields[3:])}
        return Objective()(outputs, LABELS, IMAGES)["total"]

    assert_gradients(total, [*VISIBLE, *INFRARED])


def test_bfloat16_outputs_give_float32_terms():
    outputs = {
        name: Embeddings(*(tf.cast(field, tf.bfloat16) for field in rows))
        for name, rows in BOTH.items()
    }
    terms = Objective()(outputs, LABELS, IMAGES)
    assert {value.dtype for value in terms.values()} == {tf.float32}


def test_a_single_modality_leaves_out_what_compares_two():
    """Unless a weight was given, which is then refused by name."""
    assert Objective().for_modalities(["visible"]).weights == {
        **dict.fromkeys(PUBLISHED, 0.0),
        "cross_entropy": 1.0,
        "triplet": 1.0,
        "hetero_center": 0.0,
        "weighted_triplet": 0.0,
        "center": 0.0,
    }
    assert Objective().for_modalities(["visible", "infrared"]) == Objective()
    given = Objective(correlation=5).for_modalities(["visible"])
    assert given.weights["correlation"] == 5.0
    with pytest.raises(BadInput, match=r"correlation compare two .*`correlation_weight`"):
        given.check(["visible"])


def test_the_architecture_has_weights_of_its_own_and_the_same_losses():
    weights = ArchitectureWeights(triplet=3.0)
    made = Objective(margin=0.2, triplet=2.0).of_architecture(weights, unknown_people=False)
    assert made == Objective(margin=0.2, triplet=3.0)
    unknown = Objective().of_architecture(weights, unknown_people=True)
    assert unknown.weights["cross_entropy"] == 0.0
    with pytest.raises(BadInput, match=r"objective=classification .* give split=within_identity"):
        Objective(objective="classification").of_architecture(weights, unknown_people=True)


def test_classification_is_cross_entropy_alone():
    terms = Objective(objective="classification", triplet=7.0)(BOTH, LABELS, IMAGES)
    assert set(terms) == {"cross_entropy", "total"}
    assert float(terms["total"]) == pytest.approx(expected_terms()["cross_entropy"], abs=2e-6)


@pytest.mark.parametrize(
    "given, match",
    [
        ({"tripet": 1.0}, r"no loss or option 'tripet'.*mean triplet.*losses are cross_entropy, "),
        ({"triplet": -1.0}, r"triplet_weight=-1\.0 is out of range"),
        ({"label_smoothing": float("nan")}, "label_smoothing=nan must be finite"),
    ],
)
def test_what_is_no_objective(given, match):
    with pytest.raises(BadInput, match=match):
        Objective(**given)


def test_every_term_has_a_short_name():
    assert [short_name(name) for name in ("total", "mmd", "of another package")] == [
        "loss",
        "mmd",
        "of another package",
    ]
