"""Adam and SGD with coupled weight decay against PyTorch's formulas, groups, and schedules."""

import json
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.layers import Softmax
from cmnas_tf.search_spaces import NormSpace
from cmnas_tf.training.optimizers import (
    SGD,
    Adam,
    Coupled,
    OptimizerGroups,
    Schedule,
    along_cosine,
    in_steps,
    warm_up,
    weight_optimizer,
)
from cmnas_tf.training.recipe import WeightOptimizer

LEARNING_RATE = 0.01


def torch_adam(value, gradients, learning_rate, weight_decay, beta_1=0.5, beta_2=0.999):
    """The values after each step of PyTorch's Adam, float64: the decay is added to the gradient,
    epsilon to the bias-corrected root."""
    m = v = 0.0
    values = []
    for t, gradient in enumerate(gradients, start=1):
        gradient = gradient + weight_decay * value
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        root = np.sqrt(v / (1 - beta_2**t)) + 1e-8
        value = value - learning_rate * m / (1 - beta_1**t) / root
        values.append(value)
    return values


@pytest.mark.parametrize("weight_decay", [0.0, 5e-4, 0.1])
@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-5, 1e-7])
def test_follows_pytorchs_formula(size, weight_decay):
    """30 steps with gradients of every size that a ResNet has; each step moves a value by about the
    learning rate, whatever the size, so an error is measured in learning rates."""
    random = np.random.default_rng(0)
    start = random.normal(size=50) * (1.0 if weight_decay else 1e-2)
    gradients = size * random.normal(size=(30, 50))
    variable = tf.Variable(start, dtype=tf.float32)
    optimizer = Coupled(Adam(), [variable], LEARNING_RATE, weight_decay)
    expected = torch_adam(
        variable.numpy().astype(np.float64), gradients, LEARNING_RATE, weight_decay
    )
    for gradient, value in zip(gradients, expected, strict=True):
        optimizer.apply([tf.constant(gradient, tf.float32)])
        assert abs(variable.numpy() - value).max() < 1e-3 * LEARNING_RATE


def torch_sgd(value, gradients, factors, weight_decay, momentum, nesterov):
    """The values after each step of PyTorch's SGD, float64: its buffer sums decayed gradients, and
    the learning rate of the moment is applied to the whole sum; with Nesterov's momentum to what
    the sum would be after the same gradient again."""
    buffer = 0.0
    values = []
    for gradient, factor in zip(gradients, factors, strict=True):
        decayed = gradient + weight_decay * value
        buffer = momentum * buffer + decayed
        step = decayed + momentum * buffer if nesterov else buffer
        value = value - LEARNING_RATE * factor * step
        values.append(value)
    return values


@pytest.mark.parametrize("weight_decay", [0.0, 5e-4, 0.1])
@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_follows_pytorchs_formula_while_the_rate_falls(momentum, nesterov, weight_decay):
    """The learning rate falls to a thousandth, in one fall and bit by bit; Keras' own rule would
    leave the large steps in the momentum."""
    random = np.random.default_rng(1)
    gradients = random.normal(size=(30, 50))
    factors = [*np.linspace(1.0, 0.5, 15), *[1e-3] * 15]
    variable = tf.Variable(random.normal(size=50), dtype=tf.float32)
    how = weight_decay, momentum, nesterov
    optimizer = Coupled(SGD(momentum, nesterov), [variable], LEARNING_RATE, weight_decay)
    expected = torch_sgd(variable.numpy().astype(np.float64), gradients, factors, *how)
    for gradient, factor, value in zip(gradients, factors, expected, strict=True):
        optimizer.set_factor(factor)
        optimizer.apply([tf.constant(gradient, tf.float32)])
        np.testing.assert_allclose(variable, value, atol=1e-6)


def test_two_steps_of_sgd_by_hand():
    """Rate 0.5, momentum 0.9, decay 0.1, gradient 1, from 2. Buffer 1.2, value 1.4; buffer
    1.08 + 1.14 = 2.22, and with half the rate 1.4 - 0.25 * 2.22 = 0.845."""
    variable = tf.Variable([2.0])
    optimizer = Coupled(SGD(0.9), [variable], 0.5, 0.1)
    for factor, value in ((1.0, 1.4), (0.5, 0.845)):
        optimizer.set_factor(factor)
        optimizer.apply([tf.constant([1.0])])
        np.testing.assert_allclose(variable, [value], rtol=1e-6)


def test_the_first_step_is_the_sign_of_the_decayed_gradient():
    """m / (1 - b1) = g and v / (1 - b2) = g^2, so the step is the learning rate towards -sign(g);
    without a gradient the decay alone, 0.5 * 2, gives the sign. AdamW would move 2 by 0.01 * 1."""
    variable = tf.Variable([2.0, 2.0, -3.0])
    Coupled(Adam(), [variable], 0.01, 0.5).apply([tf.constant([0.0, -5.0, 0.0])])
    np.testing.assert_allclose(variable, [1.99, 2.01, -2.99], rtol=1e-6)


def test_the_factor_scales_the_full_learning_rate():
    """Not the last one: 0.1, then 0.5, of 0.01."""
    variable = tf.Variable([0.0])
    optimizer = Coupled(Adam(), [variable], 0.01, 0.0)
    for factor, expected in ((0.1, -0.001), (0.5, -0.006), (0.0, -0.006)):
        optimizer.set_factor(factor)
        optimizer.apply([tf.constant([1.0])])
        np.testing.assert_allclose(variable, [expected], rtol=1e-4)


def test_a_factor_is_given_to_the_device_when_it_changes():
    """Not at each step: a GPU takes a number only when it is done with what it was given."""
    rule = SGD()
    optimizer = Coupled(rule, [tf.Variable([0.0])], 0.5, 0.0)
    with mock.patch.object(rule.learning_rate, "assign", wraps=rule.learning_rate.assign) as given:
        for factor in (1.0, 0.1, 0.1, 0.1, 1.0, 1.0):
            optimizer.set_factor(factor)
            np.testing.assert_allclose(rule.learning_rate, 0.5 * factor, rtol=1e-6)
    assert given.call_count == 2


def test_each_group_has_its_own_learning_rate_and_gradients():
    """Gradients are given in the order of ``trained``."""
    a, b, c = (tf.Variable([0.0]) for _ in range(3))
    rates = {0.1: [a, b], 0.001: [c]}
    groups = OptimizerGroups(*(Coupled(Adam(), of, rate, 0.0) for rate, of in rates.items()))
    assert [id(v) for v in groups.trained] == [id(a), id(b), id(c)]
    groups.set_factor(0.5)
    np.testing.assert_allclose([float(rate) for rate in groups.rates], [0.05, 0.05, 0.0005])
    groups.apply([tf.constant([1.0]), tf.constant([-1.0]), tf.constant([1.0])])
    np.testing.assert_allclose([a[0], b[0], c[0]], [-0.05, 0.05, -0.0005], rtol=1e-4)


@pytest.mark.parametrize("kind", [Adam, SGD])
def test_named_variables_hold_the_whole_state(kind):
    """Copied into another optimizer they make it go on as the first one does; only the factor is
    the caller's, who sets it before every step."""

    def optimizer_of(values):
        variables = [tf.Variable(value) for value in values]
        return OptimizerGroups(*(Coupled(kind(), [v], 0.01, 1e-3) for v in variables))

    def go_on(optimizer):
        optimizer.set_factor(0.3)
        optimizer.apply([tf.constant([0.3, -2.0]), tf.constant([1e-4])])
        return np.concatenate(optimizer.trained)

    one = optimizer_of([[1.0, 2.0], [3.0]])
    for _ in range(3):
        go_on(one)
    other = optimizer_of(one.trained)
    assert list(one.named_variables()) == list(other.named_variables())
    for name, variable in one.named_variables().items():
        other.named_variables()[name].assign(variable)
    np.testing.assert_array_equal(go_on(one), go_on(other))


@pytest.mark.parametrize("name, kind", [("adam", Adam), ("sgd", SGD)])
def test_a_network_is_divided_into_backbone_and_head(name, kind):
    """All trainable variables but those of something else, each once."""
    space = NormSpace("resnet18", width=0.0625)
    supernet = space.supernet(Softmax(), 3)
    logits = list(space.logits(supernet).values())
    chosen = WeightOptimizer(
        optimizer=name, backbone_learning_rate=0.1, head_learning_rate=0.2, weight_decay=0.3
    )
    backbone, head = weight_optimizer(supernet, chosen, besides=logits).groups
    assert type(backbone._rule) is type(head._rule) is kind
    assert (backbone.learning_rate, head.learning_rate) == (0.1, 0.2)
    assert (backbone.weight_decay, head.weight_decay) == (0.3, 0.3)
    parts = [{v.ref() for v in part} for part in (backbone.trained, head.trained, logits)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(supernet.trainable_variables)
    # The neck's scale and the classifier; the neck's offset is not trained.
    assert parts[1] == {supernet.head.neck.gamma.ref(), supernet.head.classifier.kernel.ref()}


def fall(epoch):
    """The authors' schedule."""
    return warm_up(epoch, 10) * in_steps(epoch, (40, 70))


def test_schedule_is_the_authors(goldens):
    golden = json.loads((goldens.folder / "schedules.json").read_text())["lr_warmup_multistep"]
    assert len(golden) == 120
    np.testing.assert_allclose([0.01 * fall(epoch) for epoch in range(120)], golden, rtol=1e-9)


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [
        (0, 0.01),
        (2.5, 0.2575),  # 0.01 + 0.99 / 4
        (9, 0.901),
        (10, 1.0),
        (39.99, 1.0),
        (40, 0.1),
        (70, 0.01),
    ],
)
def test_schedule_by_hand(epoch, factor):
    assert fall(epoch) == pytest.approx(factor, rel=1e-12)


def test_no_warm_up_and_no_steps():
    assert warm_up(0, 0) == in_steps(3, ()) == 1.0


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [
        (0, 1.0),
        (40, 0.7525),  # cos 60 degrees is 1/2: 0.01 + 0.99 * 1.5 / 2
        (60, 0.505),
        (120, 0.01),
    ],
)
def test_cosine_by_hand(epoch, factor):
    assert along_cosine(epoch, 120, 0.01) == pytest.approx(factor, rel=1e-12)


def factors_of(steps, **options):
    """With four steps an epoch, in ten epochs."""
    schedule = Schedule(WeightOptimizer(**options), steps_per_epoch=4, epochs=10)
    return [schedule.factor(step) for step in steps]


def test_the_factor_moves_by_epochs_or_by_steps():
    """Two epochs of warm-up: the third step is epoch 0, or 0.5 of an epoch."""
    options = {"learning_rate_warmup": 2.0, "decay_epochs": (3.0,)}
    assert factors_of((0, 3, 4, 8, 11, 12), **options) == pytest.approx(
        [0.01, 0.01, 0.505, 1.0, 1.0, 0.1]
    )
    assert factors_of((0, 2, 4, 8, 11, 12), schedule_every="step", **options) == pytest.approx(
        [0.01, 0.2575, 0.505, 1.0, 1.0, 0.1]
    )


def test_each_part_has_a_learning_rate_of_its_own():
    full = {"backbone_learning_rate": 0.5, "head_learning_rate": 2.0}
    chosen = WeightOptimizer(**full, decay_epochs=(3.0,), learning_rate_warmup=0.0)
    rates = {"learning_rate/backbone": 0.05, "learning_rate/head": 0.2}
    assert Schedule(chosen, 4, 10).rates(16) == pytest.approx(rates)


def test_a_cosine_over_the_whole_run():
    """From 1 to 0.2 in ten epochs, which the steps play no part in: half way at 0.6; and warm-up
    goes before it, 0.01 of 1 at first."""
    options = {"schedule": "cosine", "final_learning_rate": 0.2, "decay_epochs": (1.0,)}
    assert factors_of((0, 20, 40), learning_rate_warmup=0.0, **options) == pytest.approx(
        [1.0, 0.6, 0.2]
    )
    assert factors_of((0, 20), learning_rate_warmup=2.0, **options) == pytest.approx([0.01, 0.6])


@pytest.mark.parametrize("kind", [Adam, SGD])
def test_no_update_is_compiled_by_xla_whatever_the_devices(kind, monkeypatch):
    """Keras compiles an update for each variable where there is a GPU, unless it is told not to."""
    devices = [tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: devices)
    variables = [tf.Variable(tf.ones([3])), tf.Variable(tf.ones([2, 2]))]

    def xla_programs(optimizer):
        graph = tf.function(lambda: optimizer.apply([tf.ones_like(v) for v in variables]))
        functions = graph.get_concrete_function().graph.as_graph_def().library.function
        return [f.signature.name for f in functions if "_XlaMustCompile" in f.attr]

    optimizer = Coupled(kind(), variables, LEARNING_RATE, 5e-4)
    assert not xla_programs(optimizer)
    optimizer = Coupled(kind(), variables, LEARNING_RATE, 5e-4)
    optimizer._rule.jit_compile = True
    assert xla_programs(optimizer), "this is not how one sees them"
