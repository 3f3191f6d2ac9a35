"""``python -m benchmarks gpu``, rehearsed without one."""

import argparse
import sys

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import gpu, kernels
from benchmarks.shifted_pool import shifted_max_pool
from cmnas_tf.layers import max_pool_3x3

OPTIONS = argparse.Namespace(small=True, steps=2, rows=2, torch_python=sys.executable)


@pytest.mark.slow
def test_a_wave_is_measured_and_its_figures_follow(capsys):
    """Graphs, since XLA takes minutes on a CPU; a variant that cannot run says why."""
    found, kept = {}, []
    wave = (gpu.STEPS + "embed", gpu.STEPS + "embed?precision=bfloat16", gpu.TORCH_EMBED)
    gpu.measure(wave, OPTIONS, found, lambda: kept.append(len(found)))
    ours = found[wave[0]]
    assert 0 < ours["row_ms_least"] <= ours["row_ms"] <= ours["row_ms_most"]
    assert ours["first_step_s"] > ours["row_ms"] / 1e3
    assert ours["kernels"] == 0  # of a GPU
    assert kept and "steps:embed?precision=bfloat16" in capsys.readouterr().out
    torch = found[wave[2]]
    assert "row_ms" in torch or torch["unavailable"].startswith("PyTorch is not installed")


def test_figures_are_ratios_of_what_was_measured():
    ours, theirs = gpu.STEPS + "derived?xla=on", gpu.TORCH_FLOAT32
    found = {ours: {"row_ms": 40.0}, theirs: {"row_ms": 50.0}}
    found[gpu.STEPS + "search?xla=on"] = {"row_ms": 84.0}
    assert gpu.figures(found) == {
        "step over PyTorch, float32": 0.8,
        "search step over two derived steps": 1.05,
    }


def test_without_a_gpu_it_offers_the_rehearsal(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "card_name", lambda: None)
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "there is no GPU here; --small rehearses on the CPU" in capsys.readouterr().err


def test_every_kernel_has_a_kind():
    spans = [("sm90_xmma_wgrad_nhwc", 0.0, 4.0), ("input_reduce_fusion", 2.0, 4.0)]
    spans += [("loop_add_fusion", 10.0, 1.0)]
    spans += [("input_reduce_fusion", 20.0, 0.0)]
    found = kernels._summary(spans, 2)
    assert found["kernels"] == 2.0 and found["busy_ms"] == 3.5
    assert found["ms_by_kind"] == {"convolution": 2.0, "reduction": 2.0, "other": 0.5}
    assert list(found["longest_ms"].values()) == [2.0, 2.0, 0.5]


@pytest.mark.parametrize("by_xla", [False, True])
@pytest.mark.parametrize("shape", [(2, 8, 6, 5), (1, 9, 7, 3)])
def test_the_max_pooling_of_comparisons_has_the_gradient_of_the_other(shape, by_xla):
    """Of equal values, the zeros of a ReLU, the first takes it."""
    x = tf.nn.relu(tf.random.normal(shape))
    upstream = tf.random.normal(max_pool_3x3(x).shape)

    def both(pool):
        @tf.function(autograph=False, jit_compile=by_xla or None)
        def graph():
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = pool(x)
                total = tf.reduce_sum(y * upstream)
            return y, tape.gradient(total, x)

        return graph()

    for found, expected in zip(both(shifted_max_pool), both(max_pool_3x3), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
