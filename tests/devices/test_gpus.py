"""How processes share the GPUs of a machine."""

import pytest
import tensorflow as tf

from cmnas_tf.devices import gpus
from cmnas_tf.devices.gpus import memory_in_use, shared_out, visible_gpus
from cmnas_tf.errors import BadInput


@pytest.mark.parametrize(
    ("visible", "wanted"),
    [
        ("0,2", ["0", "2"]),
        ("GPU-8f, MIG-3a", ["GPU-8f", "MIG-3a"]),
        ("", []),
        ("-1", []),
        ("3,-1,2", ["3"]),
    ],
)
def test_those_that_cuda_is_told_of(monkeypatch, visible, wanted):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == wanted


def test_those_of_the_machine_where_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    listed = "GPU 0: One (UUID: GPU-1)\\n  MIG 1g.5gb Device 0: (UUID: MIG-1)\\nGPU 1: Two\\n"
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{listed}'\n")
    program.chmod(0o755)
    assert visible_gpus() == ["0", "1"]


@pytest.mark.parametrize(
    ("each", "wanted"),
    [
        (1.0, ["0", "1", "2"]),
        (2.0, ["0,1"]),
        (3.0, ["0,1,2"]),
        (0.5, ["0", "1", "2", "0", "1", "2"]),
        (0.4, ["0", "1", "2", "0", "1", "2"]),
    ],
)
def test_no_gpu_is_given_twice_but_where_a_part_is_enough(each, wanted):
    assert shared_out(["0", "1", "2"], each) == wanted


def test_without_gpus_there_is_nothing_to_share():
    assert shared_out([], 1.0) == shared_out([], 4.0) == shared_out([], 0.5) == []


def test_what_cannot_be_shared_out():
    with pytest.raises(BadInput, match=r"gpus_per_cell=4 are more GPUs than the 3 .* at most 3"):
        shared_out(["0", "1", "2"], 4.0)
    with pytest.raises(BadInput, match=r"gpus_per_cell=1\.5 is no share of a GPU.* whole number"):
        shared_out(["0", "1", "2"], 1.5)


def test_memory_is_the_peak_of_the_fullest_gpu(monkeypatch):
    """As TensorFlow tells it of each; here by a stand-in."""
    peaks = {"GPU:0": 3 * 2**30, "GPU:1": 5 * 2**30}
    monkeypatch.setattr(gpus, "on_gpus", lambda strategy: True)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [*peaks])
    monkeypatch.setattr(
        tf.config.experimental, "get_memory_info", lambda name: {"current": 1, "peak": peaks[name]}
    )
    assert memory_in_use(None) == {"memory/peak_of_gpu": 5.0}


def test_without_a_gpu_it_is_the_processs():
    (gib,) = memory_in_use(tf.distribute.OneDeviceStrategy("CPU:0")).values()
    assert 0.01 < gib < 100
