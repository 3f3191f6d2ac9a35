"""Pooling, BN neck and classifier."""

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.modality import Rows
from cmnas_tf.models import Embeddings, Head
from tests.oracles import norms as oracle
from tests.oracles.policies import dtype_policy


def test_by_hand():
    """One feature; images with maps (1, 3) and (6, 6) pool to 2 and 6. Their mean is 4, their
    variance 4: embeddings -1 and 1 up to the epsilon, logits 5 times that.
    """
    head = Head(1)
    head(tf.zeros([1, 1, 2, 1]))
    head.neck.gamma.assign([1.0])
    head.classifier.kernel.assign([[5.0]])
    features = tf.reshape(tf.constant([1.0, 3.0, 6.0, 6.0]), [2, 1, 2, 1])
    pooled, embedding, logits = head(features, training=True)
    np.testing.assert_allclose(pooled[:, 0], [2.0, 6.0])
    np.testing.assert_allclose(embedding[:, 0], [-1.0, 1.0], atol=1e-5)
    np.testing.assert_allclose(logits[:, 0], [-5.0, 5.0], atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_equals_the_oracle(training):
    """The running variance of the neck is unbiased although its input has two axes only."""
    head, rng = Head(3, dtype="float64"), np.random.default_rng(1)
    features = rng.standard_normal((5, 4, 2, 6))
    head(tf.constant(features))
    neck = oracle.BatchNorm(
        gamma=rng.standard_normal(6),
        beta=np.zeros(6),
        moving_mean=rng.standard_normal(6),
        moving_variance=np.exp(rng.standard_normal(6)),
    )
    for name, value in vars(neck).items():
        getattr(head.neck, name).assign(value)
    result = head(tf.constant(features), training=training)
    pooled = features.mean(axis=(1, 2))
    embedding = neck.train(pooled) if training else neck.infer(pooled)
    np.testing.assert_allclose(result.pooled, pooled, atol=1e-12)
    np.testing.assert_allclose(result.embedding, embedding, atol=1e-12)
    np.testing.assert_allclose(result.logits, embedding @ head.classifier.kernel, atol=1e-12)
    np.testing.assert_allclose(head.neck.moving_variance, neck.moving_variance, rtol=1e-12)


def test_starts_as_the_authors_do():
    """Gamma N(1, 0.01), beta 0 and not trained, classifier N(0, 0.001) without bias."""
    head = Head(50)
    head(tf.zeros([1, 1, 1, 2048]))
    gamma, kernel = head.neck.gamma.numpy(), head.classifier.kernel.numpy()
    assert gamma.mean() == pytest.approx(1.0, abs=0.001)  # 4.5 standard errors
    assert gamma.std() == pytest.approx(0.01, rel=0.1)
    assert kernel.mean() == pytest.approx(0.0, abs=2e-5)
    assert kernel.std() == pytest.approx(0.001, rel=0.02)
    np.testing.assert_array_equal(head.neck.beta, np.zeros(2048))
    assert {id(weight) for weight in head.trainable_weights} == {
        id(head.neck.gamma),
        id(head.classifier.kernel),
    }
    assert len(head.weights) == 5


def test_is_float32_under_mixed_bfloat16():
    """The mean is taken in float32: 300 pixels of 1 + 1/128 would add up to no such mean."""
    with dtype_policy("mixed_bfloat16"):
        head = Head(3)
    features = tf.fill([2, 30, 10, 4], tf.constant(1 + 1 / 128, tf.bfloat16))
    for result in (head(features), head.embed(features)):
        assert {field.dtype for field in result} == {tf.float32}
        np.testing.assert_allclose(result[0], np.full((2, 4), 1 + 1 / 128), rtol=1e-6)


def test_embeds_without_the_classifier():
    head, features = Head(3), tf.random.stateless_normal([2, 4, 2, 6], seed=[1, 2])
    whole = head(features)
    pooled, embedding = head.embed(features)
    np.testing.assert_array_equal(pooled, whole.pooled)
    np.testing.assert_array_equal(embedding, whole.embedding)


def test_without_a_neck():
    """The embedding is what was pooled; the classifier has a bias, which starts as 0."""
    head, features = Head(3, neck=False), tf.random.stateless_normal([2, 4, 2, 6], seed=[1, 2])
    pooled, embedding, logits = head(features, training=True)
    np.testing.assert_array_equal(embedding, pooled)
    np.testing.assert_allclose(logits, pooled @ head.classifier.kernel, rtol=1e-5, atol=1e-8)
    head.classifier.bias.assign([1.0, 2.0, 3.0])
    np.testing.assert_allclose(head(features).logits - logits, [[1, 2, 3]] * 2, rtol=1e-5)
    assert [weight.shape for weight in head.weights] == [(6, 3), (3,)]


def test_embeddings_by_modality():
    rows = np.arange(5.0)[:, None]
    parts = Embeddings(rows, 10 * rows, 100 * rows).by_modality(Rows({"visible": 2, "infrared": 3}))
    assert list(parts) == ["visible", "infrared"]
    np.testing.assert_array_equal(parts["visible"].embedding, [[0], [10]])
    np.testing.assert_array_equal(parts["infrared"].logits, [[200], [300], [400]])
