"""What this machine is, and how much of it this process may use."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from cmnas_tf import machine
from cmnas_tf.machine import available_memory, cores, processor

ROOT = Path(__file__).parents[1]


def test_cores_are_those_that_the_process_may_use():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
    code += "; from cmnas_tf.machine import cores; print(cores())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    assert done.stdout == b"1\n"
    assert cores() == len(os.sched_getaffinity(0))


def test_available_memory_is_a_part_of_what_there_is():
    assert 2**20 < available_memory() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("words, wanted", [("12345\n", 12_345), ("max\n", 10**6)])
def test_a_container_may_allow_less_memory(tmp_path, monkeypatch, words, wanted):
    (tmp_path / "memory.max").write_text(words)
    limits = (tmp_path / "memory.max", tmp_path / "absent")
    monkeypatch.setattr(machine, "_MEMORY_LIMITS", limits)
    system = type("Memory", (), {"available": 10**6})
    monkeypatch.setattr("psutil.virtual_memory", lambda: system)
    assert available_memory() == wanted


def test_the_processor_has_the_name_that_linux_gives_it():
    known = Path("/proc/cpuinfo").read_text()
    named = f": {processor()}\n" in known
    assert named if "model name" in known else processor() == platform.machine()


def test_nothing_is_loaded_before_it_is_asked_for():
    code = "import sys; import cmnas_tf.machine; print({'psutil', 'cpuinfo'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    assert done.stdout == b"set()\n"
