"""How logits become mixture weights."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.layers import GumbelSoftmax, Softmax

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
