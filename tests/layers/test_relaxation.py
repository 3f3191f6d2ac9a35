"""How logits become mixture weights."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from cmnas_tf.layers import Gdas, GumbelSoftmax, MixedModalityNorm, Paths, Softmax
from cmnas_tf.modality import Rows
from tests.oracles.finite_differences import assert_gradients

LOGITS = tf.constant([0.7, -0.4])


def drawn(relaxation: GumbelSoftmax, site: str = "stem", step: int = 0, fraction: float = 0.0):
    relaxation.prepare(step, fraction)
    return relaxation(LOGITS, site).numpy()


def test_softmax_by_hand():
    """Logits (ln 3, 0): 3/4 and 1/4, whatever the site and the step."""
    softmax = Softmax()
    for step, site in ((0, "stem"), (9, "layer1_0_bn1")):
        softmax.prepare(step, 0.5)
        np.testing.assert_allclose(softmax(tf.constant([np.log(3.0), 0.0]), site), [0.75, 0.25])


def test_gumbel_is_a_pure_function_of_seed_site_and_step():
    first = drawn(GumbelSoftmax(seed=3), "stem", step=11)
    other = GumbelSoftmax(seed=3)
    drawn(other, "layer4_2_bn3", step=99)
    np.testing.assert_array_equal(drawn(other, "stem", step=11), first)
    graph = tf.function(lambda: other(LOGITS, "stem"))
    np.testing.assert_allclose(graph(), first, rtol=1e-6)
    for seed, site, step in ((4, "stem", 11), (3, "layer1_0_bn1", 11), (3, "stem", 12)):
        assert abs(drawn(GumbelSoftmax(seed=seed), site, step)[0] - first[0]) > 1e-3


def test_gumbel_weights_are_positive_and_sum_to_1():
    relaxation = GumbelSoftmax(seed=0, initial=1.0, final=0.5)
    relaxation.prepare(0, 1.0)
    weights = relaxation(tf.zeros([1000, 3]), "stem").numpy()
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    "fraction, temperature", [(0.0, 5.0), (0.5, 2.5**0.5), (1.0, 0.5)], ids=["0", "1/2", "1"]
)
def test_gumbel_temperature_falls_geometrically(fraction, temperature):
    """From 5 to 0.5; half-way sqrt(5 * 0.5). The weights' log-odds are (difference of logits +
    noise) / temperature, so their product with the temperature is the same at every fraction.
    """
    relaxation = GumbelSoftmax(seed=0, initial=5.0, final=0.5)
    weights = drawn(relaxation, step=4, fraction=fraction)
    assert float(relaxation.temperature) == pytest.approx(temperature, rel=1e-6)
    at_first = drawn(GumbelSoftmax(seed=0, initial=1.0, final=1.0), step=4)
    odds = np.log(at_first[0] / at_first[1])
    assert np.log(weights[0] / weights[1]) * temperature == pytest.approx(odds, rel=1e-3)


def test_gumbel_chooses_as_often_as_the_softmax_says():
    """Gumbel-max (Maddison et al., 2014): argmax(logits + noise) is k with probability softmax_k.

    At a temperature near 0 the weights are almost one-hot, so their mean over 20,000 draws is the
    softmax to three standard errors, 3 sqrt(p (1 - p) / 20,000) = 0.01. Of three candidates: with
    two, noise of the opposite sign would do as well.
    """
    logits = tf.constant([1.5, 0.0, -1.0])
    relaxation = GumbelSoftmax(seed=2, initial=0.01, final=0.01)
    relaxation.prepare(0, 0.0)
    weights = relaxation(tf.tile(logits[None], [20_000, 1]), "stem").numpy()
    np.testing.assert_allclose(weights.mean(axis=0), tf.nn.softmax(logits), atol=0.01)


def test_gumbel_draws_of_successive_steps_and_sites_are_unrelated():
    """Frequencies over 300 steps as above (standard error 0.025), neighbours uncorrelated."""
    relaxation = GumbelSoftmax(seed=2, initial=0.01, final=0.01)

    @tf.function
    def of_step(step):
        relaxation.prepare(step, 0.0)
        return relaxation(LOGITS, "layer1_0_bn1")[0], relaxation(LOGITS, "layer1_0_bn2")[0]

    draws = np.array([of_step(tf.constant(step)) for step in range(300)])
    expected = float(tf.nn.softmax(LOGITS)[0])
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=0.08)
    assert abs(np.corrcoef(draws[1:, 0], draws[:-1, 0])[0, 1]) < 0.2
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 0.2


def test_gumbel_passes_the_gradient_to_the_logits():
    """d w_0 / d l_0 = w_0 w_1 / temperature."""
    relaxation = GumbelSoftmax(seed=0, initial=2.0, final=2.0)
    relaxation.prepare(3, 0.0)
    with tf.GradientTape() as tape:
        tape.watch(LOGITS)
        weights = relaxation(LOGITS, "stem")
        first = weights[0]
    slope = float(weights[0] * weights[1]) / 2.0
    np.testing.assert_allclose(tape.gradient(first, LOGITS), [slope, -slope], rtol=1e-5)


def test_gumbel_draws_the_same_on_both_replicas(two_replicas):
    with two_replicas.scope():
        relaxation = GumbelSoftmax(seed=3)
    relaxation.prepare(step=11, fraction=0.5)
    run = tf.function(lambda: two_replicas.run(relaxation, args=(LOGITS, "stem")))
    alone = drawn(GumbelSoftmax(seed=3), "stem", step=11, fraction=0.5)
    for weights in two_replicas.experimental_local_results(run()):
        np.testing.assert_allclose(weights, alone, rtol=1e-6)


def test_gumbel_in_float64():
    """Weights of that precision, and their gradient against central differences."""
    relaxation = GumbelSoftmax(seed=1, initial=0.7, final=0.7)
    relaxation.prepare(5, 0.0)
    logits = np.random.default_rng(0).standard_normal((4, 3))
    weights = relaxation(tf.constant(logits), "normal").numpy()
    assert weights.dtype == np.float64
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-15)
    worth = np.random.default_rng(1).standard_normal((4, 3))
    assert_gradients(lambda x: tf.reduce_sum(worth * relaxation(x, "normal")), [logits])


def test_gdas_takes_the_drawn_candidate_alone_with_the_gradient_of_the_soft_mixture():
    """Against NumPy in float64. With noise g and temperature t, s = softmax((l + g) / t): the
    weights are 1 at the largest of s and 0 exactly elsewhere; of sum_k w_k v_k the gradient for l_j
    is sum_k v_k s_k ([j = k] - s_j) / t. The noise is what makes s of even logits at t = 1.
    """
    relaxation = Gdas(seed=3, initial=0.5, final=0.5)
    relaxation.prepare(7, 0.0)
    even = GumbelSoftmax(seed=3, initial=1.0, final=1.0)
    even.prepare(7, 0.0)
    noise = np.log(even(tf.zeros([5, 4], tf.float64), "normal").numpy())
    random = np.random.default_rng(2)
    logits, values = random.standard_normal((5, 4)), random.standard_normal((5, 4))
    soft = softmax((logits + noise) / 0.5, axis=1)
    given = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(given)
        weights = relaxation(given, "normal")
        mixed = tf.reduce_sum(weights * values, axis=1)
    np.testing.assert_array_equal(weights, np.eye(4)[soft.argmax(axis=1)])
    np.testing.assert_array_equal(mixed, values[np.arange(5), soft.argmax(axis=1)])
    expected = soft * (values - (soft * values).sum(axis=1, keepdims=True)) / 0.5
    np.testing.assert_allclose(tape.gradient(mixed, given), expected, rtol=1e-12, atol=1e-14)


def test_gdas_draws_as_often_as_the_softmax_says():
    """At a high temperature too; three standard errors as for Gumbel-max above."""
    logits = tf.constant([1.5, 0.0, -1.0])
    relaxation = Gdas(seed=2, initial=5.0, final=5.0)
    weights = relaxation(tf.tile(logits[None], [20_000, 1]), "stem").numpy()
    assert set(np.unique(weights)) == {0.0, 1.0}
    np.testing.assert_allclose(weights.mean(axis=0), tf.nn.softmax(logits), atol=0.01)


def test_a_mixed_norm_by_gdas_is_the_drawn_norm_alone():
    """Over ten draws of even logits both come up."""
    relaxation = Gdas(seed=1)
    layer = MixedModalityNorm(relaxation, name="stem")
    x, rows = tf.random.stateless_normal([4, 2, 2, 3], [1, 2]), Rows({"visible": 2, "infrared": 2})
    layer(x, rows=rows)
    for scale, weight in enumerate(layer.weights, start=2):
        weight.assign(weight * scale)
    separate = tf.concat([layer.visible(x[:2]), layer.infrared(x[2:])], axis=0)
    drawn = set()
    for step in range(10):
        relaxation.prepare(step, 0.0)
        of_separate, _ = relaxation(layer.architecture_logits, "stem").numpy()
        drawn.add(of_separate)
        expected = separate if of_separate else layer.shared(x)
        np.testing.assert_allclose(layer(x, rows=rows), expected, rtol=1e-5, atol=1e-6)
    assert drawn == {0.0, 1.0}
    assert np.abs(separate - layer.shared(x)).max() > 0.1


def paths(fair, steps, logits=(0.0, 0.0, 0.0), site="stem", seed=0):
    relaxation = Paths(seed, fair)
    found = []
    for step in steps:
        relaxation.prepare(step, 0.0)
        found.append(relaxation(tf.constant([logits] * 2), site).numpy())
    return np.array(found)  # [steps, rows, candidates]


@pytest.mark.parametrize("fair", [True, False])
def test_a_path_takes_one_candidate_of_each_row_as_often_as_another(fair):
    found = paths(fair, range(300))
    assert set(np.unique(found)) == {0, 1} and (found.sum(axis=2) == 1).all()
    np.testing.assert_allclose(found.mean(axis=0), 1 / 3, atol=0.1)
    assert (found[:, 0] != found[:, 1]).any()  # rows draw by themselves
    np.testing.assert_array_equal(paths(fair, [7, 11]), found[[7, 11]])
    assert (paths(fair, range(30), site="bn1") != found[:30]).any()
    assert (paths(fair, range(30), seed=1) != found[:30]).any()


def test_fair_paths_take_each_candidate_once_in_as_many_steps():
    blocks = paths(True, range(30)).reshape(10, 3, 2, 3)
    assert (blocks.sum(axis=1) == 1).all()
    assert len({block.tobytes() for block in blocks}) > 1  # in another order each time
    assert (paths(False, range(30)).reshape(10, 3, 2, 3).sum(axis=1) != 1).any()


@pytest.mark.parametrize("fair", [True, False])
def test_logits_that_decide_leave_a_path_no_choice(fair):
    found = paths(fair, range(20), logits=(-100.0, 100.0, -100.0))
    np.testing.assert_array_equal(found, np.tile([0, 1, 0], (20, 2, 1)))
