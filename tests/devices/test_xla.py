"""Where steps are compiled, what is said of it, and that they stay the same steps."""

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import tensorflow as tf

from cmnas_tf.devices import xla
from cmnas_tf.devices.distribution import compiled_on, make_strategy
from cmnas_tf.errors import BadInput

GPU = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
ALONE = tf.distribute.OneDeviceStrategy("CPU:0")
ON_GPU = tf.distribute.OneDeviceStrategy("GPU:0")


class Several:
    num_replicas_in_sync = 2
    extended = SimpleNamespace(worker_devices=("GPU:0", "GPU:1"))


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """One that is listed, and a home for what is compiled for it."""
    devices = tf.config.list_physical_devices
    monkeypatch.setattr(
        tf.config,
        "list_physical_devices",
        lambda kind=None: [GPU] if kind == "GPU" else devices(kind),
    )
    card = tmp_path / "driver" / "gpus" / "0000:00:06.0"
    card.mkdir(parents=True)
    card.joinpath("information").write_text("Model: \t\t NVIDIA H100\nIRQ:   \t\t 16\n")
    monkeypatch.setattr(xla, "_DRIVER", tmp_path / "driver")
    for name in ("XLA_FLAGS", "TF_XLA_FLAGS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_cpu_compiles_when_it_is_told_to():
    assert not xla.compiles("auto", ALONE)
    assert not xla.compiles("off", ALONE)
    assert xla.compiles("on", ALONE)


def test_one_gpu_compiles_and_says_where_it_is_kept(gpu, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert xla.compiles("auto", ON_GPU)
    assert f"{tmp_path}/cmnas_tf/xla/{tf.__version__}-NVIDIA-H100" in caplog.text
    assert not xla.compiles("off", ON_GPU)


def test_a_cpu_beside_a_gpu_does_not_compile_unless_it_is_told_to(gpu, caplog):
    with caplog.at_level(logging.INFO):
        assert not xla.compiles("auto", ALONE)
        assert xla.compiles("on", ALONE, deterministic=True)
    assert not caplog.text


def test_several_devices_do_not(gpu):
    assert not xla.compiles("auto", Several())
    with pytest.raises(BadInput, match=r"xla=on .* and 2 compute this one; give strategy=one_dev"):
        xla.compiles("on", Several())


def test_deterministic_steps_on_a_gpu_are_graphs(gpu):
    assert not xla.compiles("auto", ON_GPU, deterministic=True)
    with pytest.raises(BadInput, match=r"xla=on: .* leave out xla or deterministic"):
        xla.compiles("on", ON_GPU, deterministic=True)


def test_deterministic_steps_on_a_cpu_can_be_compiled():
    assert xla.compiles("on", ALONE, deterministic=True)


def test_without_its_tools_it_says_what_to_install(gpu, monkeypatch, caplog):
    monkeypatch.setattr(xla, "_problem", lambda: "libdevice not found")
    assert not xla.compiles("auto", ON_GPU)
    assert "libdevice not found. Steps are slower. It needs ptxas" in caplog.text
    with pytest.raises(BadInput, match=r"xla=on: .* here: libdevice not found. It needs ptxas"):
        xla.compiles("on", ON_GPU)


def test_a_strategy_for_a_gpu_sets_flags_that_nobody_set(gpu, monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_force_conv_nhwc=false --xla_dump_to=/there")
    strategy = make_strategy()
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    assert os.environ["XLA_FLAGS"] == "--xla_gpu_force_conv_nhwc=false --xla_dump_to=/there"
    kept = tmp_path / "cmnas_tf" / "xla" / f"{tf.__version__}-NVIDIA-H100"
    assert os.environ["TF_XLA_FLAGS"] == (
        f"--tf_xla_persistent_cache_directory={kept} --tf_xla_persistent_cache_device_types=GPU"
    )


def test_a_compiled_function_computes_the_same():
    def double(x):
        return {"twice": 2.0 * x}

    graph, compiled = compiled_on(ALONE), compiled_on(ALONE, by_xla=True)
    assert compiled(double, tf.constant(3.0))["twice"] == graph(double, tf.constant(3.0))["twice"]


def test_it_is_compiled_for_the_device_of_its_strategy():
    """Which is not the one that TensorFlow would choose: CPU:0."""
    strategy = tf.distribute.OneDeviceStrategy("CPU:1")
    with strategy.scope():
        factor = tf.Variable(2.0)
    compiled = compiled_on(strategy, by_xla=True)(lambda x: factor * x, tf.constant(3.0))
    assert compiled == 6.0
    assert compiled.device.endswith("CPU:1")


def test_what_was_compiled_is_kept_for_the_next_process(tmp_path):
    """TensorFlow reads its flags when it first lists devices; here they are a CPU's."""
    script = """
import os, tensorflow as tf
from cmnas_tf.devices.distribution import make_strategy
os.environ["TF_XLA_FLAGS"] = "--tf_xla_persistent_cache_device_types=CPU"
make_strategy()
tf.function(tf.exp, jit_compile=True)(tf.zeros([2]))
"""
    home = tmp_path / "a home"
    environment = {**os.environ, "XDG_CACHE_HOME": str(home), "CUDA_VISIBLE_DEVICES": ""}
    for name in ("XLA_FLAGS", "TF_XLA_FLAGS"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True)
    kept = list((home / "cmnas_tf" / "xla" / tf.__version__).glob("xla_compile_cache*"))
    if b"No available targets" in done.stderr:
        pytest.skip("TensorFlow 2.15 keeps nothing for a CPU")
    assert done.returncode == 0, done.stderr.decode()
    assert len(kept) == 1
