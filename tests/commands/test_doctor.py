"""What the doctor finds, and what it says to do."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import tensorflow as tf
from packaging.requirements import Requirement

from cmnas_tf.commands import doctor
from cmnas_tf.commands.doctor import Doctor, Finding, cuda, packages, requirements, steps

ROOT = Path(__file__).parents[2]
BUILD = {"is_cuda_build": True, "cuda_version": "12.5.1", "cudnn_version": "9"}


@pytest.fixture
def findings(monkeypatch, capsys):
    """Runs the doctor with these findings; its exit code, and the lines it prints."""

    def run(*found):
        monkeypatch.setattr(doctor, "_findings", lambda command: iter(found))
        code = 0
        try:
            doctor.main(Doctor())
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def looked(monkeypatch):
    """All it finds here, without a training step; ``{about: finding}``."""
    monkeypatch.setattr(doctor, "steps", lambda devices: iter(()))

    def look(**options):
        return {finding.about: finding for finding in doctor._findings(Doctor(**options))}

    return look


def test_a_machine_without_a_problem(findings):
    code, lines = findings(Finding("memory", "9.0 GB free"), Finding("disk", "9.0 GB free"))
    assert code == 0
    assert lines == ["memory      9.0 GB free", "disk        9.0 GB free", "", "no problems"]


def test_each_problem_comes_with_its_next_move(findings):
    code, lines = findings(
        Finding("memory", "0.1 GB free", "end something"), Finding("disk", "9.0 GB free")
    )
    assert code == 1
    assert lines[1].split() == ["PROBLEM;", "next:", "end", "something"]
    assert lines[2].startswith("disk") and lines[-1] == "1 problem"


def test_what_there_is(looked):
    found = looked()
    assert {"Python", "packages", "extras", "processor", "memory", "disk", "TensorFlow"} <= {*found}
    assert metadata.version("tensorflow") in found["TensorFlow"].found
    assert sys.executable in found["Python"].found


def test_packages_are_compared_version_by_version():
    numpy = metadata.version("numpy")
    right = packages("pins", [Requirement(f"numpy=={numpy}")])
    assert right == Finding("packages", "1 as pins wants them")
    wrong = [
        Requirement(f"numpy!={numpy}"),
        Requirement("no-such-package>=2"),
        Requirement("numpy"),
    ]
    found = packages("pins", wrong)
    assert found.found.startswith("1 as pins wants them, but ")
    assert f"numpy!={numpy}: {numpy}" in found.found
    assert "no-such-package>=2: missing" in found.found
    assert f"pip install 'numpy!={numpy}' 'no-such-package>=2'" in found.next_move


def test_a_checkout_wants_the_pins_of_the_running_line():
    line = "requirements.txt" if sys.version_info < (3, 12) else "requirements-2.20.txt"
    source, wanted = requirements(ROOT, [])
    assert source == line
    pinned = {r.name: str(r.specifier) for r in wanted}
    assert pinned["setuptools"].startswith("==") and "pytest" not in pinned
    assert pinned["tensorflow"] in (ROOT / line).read_text()
    assert ("tomli" in pinned) == (sys.version_info < (3, 11))


def test_an_installed_package_wants_its_bounds(tmp_path, monkeypatch):
    declared = ["numpy>=1", "old; python_version < '3'", 'faiss-cpu; extra == "faiss"']
    declared.append('torch; extra == "torch"')
    monkeypatch.setattr(metadata, "requires", lambda name: declared)
    assert [r.name for r in requirements(tmp_path, [])[1]] == ["numpy"]
    source, wanted = requirements(tmp_path, ["faiss"])
    assert (source, [r.name for r in wanted]) == ("the package", ["numpy", "faiss-cpu"])


@pytest.mark.parametrize(("free", "fit"), [(5 * 10**9, True), (10**9, False)])
def test_too_little_memory(looked, monkeypatch, free, fit):
    monkeypatch.setattr("cmnas_tf.machine.available_memory", lambda: free)
    memory = looked()["memory"]
    assert memory.found == f"{free / 1e9:.1f} GB free"
    assert bool(memory.next_move) is not fit


def test_the_disk_of_a_folder_that_will_be(looked, monkeypatch, tmp_path):
    asked = []

    def usage(path):
        asked.append(path)
        return type("Usage", (), {"free": 5 * 10**8})

    monkeypatch.setattr("shutil.disk_usage", usage)
    disk = looked(run_dir=str(tmp_path / "runs" / "search"))["disk"]
    assert asked == [tmp_path]
    assert disk.found.startswith("0.5 GB free") and "--run_dir" in disk.next_move


def test_a_broken_tensorflow(looked, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    found = looked()
    assert "cannot be imported" in found["TensorFlow"].found
    assert found["TensorFlow"].next_move


@pytest.mark.parametrize(
    ("there", "gpus", "said", "next_move"),
    [
        ({"libcuda.so.1", "libcudart.so.12", "libcublas.so.12", "libcudnn.so.9"}, 1, "loaded", ""),
        (set(), 0, "no NVIDIA driver", ""),
        ({"libcuda.so.1", "libcudart.so.12"}, 0, "misses libcublas.so.12, libcudnn.so.9",
         "pip install 'tensorflow[and-cuda]==2.20.0'"),
        ({"libcuda.so.1", "libcudart.so.12", "libcublas.so.12", "libcudnn.so.9"}, 0, "no GPU",
         "nvidia-smi"),
    ],
)  # fmt: skip
def test_cuda(monkeypatch, there, gpus, said, next_move):
    def load(name):
        if name not in there:
            raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", load)
    found = cuda("2.20.0", BUILD, gpus)
    assert "2.20.0, built for CUDA 12.5.1 and cuDNN 9" in found.found and said in found.found
    assert next_move in found.next_move and bool(next_move) == bool(found.next_move)


def test_a_tensorflow_for_cpus_alone():
    assert cuda("2.15.1", {"is_cuda_build": False}, 0).next_move == ""


PRECISIONS = ("float32", "bfloat16", "float16")


def test_a_step_in_each_precision():
    found = list(steps(["CPU:0"]))
    assert [finding.about for finding in found] == ["CPU:0"] * 3
    for finding, precision in zip(found, PRECISIONS, strict=True):
        assert f"a training step in {precision}: loss " in finding.found
        assert not finding.next_move
    losses = [float(finding.found.split()[-1]) for finding in found]
    assert losses == pytest.approx([losses[0]] * 3, rel=0.1)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "out of memory"), "out of memory"),
        ({"total": float("nan")}, "loss nan"),
    ],
)
def test_a_step_that_fails(monkeypatch, outcome, said):
    def step(*_):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr("cmnas_tf.training.gradient_step.gradient_step", step)
    monkeypatch.setattr("cmnas_tf.models.precision.POLICIES", {"float32": "float32"})
    (found,) = steps(["CPU:0"])
    assert said in found.found and "nvidia-smi" in found.next_move


def test_its_door():
    done = subprocess.run(
        [sys.executable, "-m", "cmnas_tf", "doctor", "--run_dir=/proc/none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "free for /proc/none" in done.stdout
    assert "--run_dir on another disk" in done.stdout and done.stdout.endswith("problem\n")
