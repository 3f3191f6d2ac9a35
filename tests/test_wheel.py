"""The wheel: what is in it, and that it works in an environment of its own from any folder.

The environment takes the packages that the wheel depends on from this one, since a test has no
network; of this project it sees the wheel alone, and the plugin of the tests' tiny backbone.
"""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.tiny_people import PLUGIN, TINIEST

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow

# Packages of extras: importing one of these is an error in the environment without extras.
EXTRAS = ("faiss", "official", "tensorflow_serving", "urllib3.contrib", "onnx", "tensorflow_addons")
EXTRAS += ("jinja2", "vl_convert", "nicegui")
BLOCKER = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS!r}:
            raise ImportError(f"{{name}} belongs to an extra")

sys.meta_path.insert(0, Refuse())
"""


def call(*command, cwd, code=0, **environment):
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={
            **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    names = ("cmnas_tf", "configs", "pyproject.toml", "README.md", "LICENSE")
    call("mkdir", copy, cwd=folder)
    call("cp", "-r", *(ROOT / name for name in names), copy, cwd=folder)
    pip = (
        sys.executable,
        "-m",
        "pip",
        "wheel",
        ".",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
    )
    call(*pip, "--wheel-dir", folder, cwd=copy)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A fresh environment with the wheel in it; its folder of commands."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = folder / "lib" / version / "site-packages"
    pip = (sys.executable, "-m", "pip", f"--python={folder / 'bin' / 'python'}", "install")
    call(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n{PLUGIN}\n")
    (packages / "sitecustomize.py").write_text(
        "import os\nif os.environ.get('WITHOUT_EXTRAS'):\n"
        + "".join(f"    {line}\n" for line in BLOCKER.splitlines())
    )
    return folder / "bin"


def test_what_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        metadata = file.read(next(n for n in names if n.endswith("METADATA"))).decode()
        scripts = file.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"cmnas_tf"}
    modules = {n.removeprefix("cmnas_tf/") for n in names if n.endswith(".py")}
    assert modules == {
        str(p.relative_to(ROOT / "cmnas_tf")) for p in (ROOT / "cmnas_tf").rglob("*.py")
    }
    assert "cmnas_tf/py.typed" in names
    configs = {n for n in names if n.startswith("cmnas_tf/configs/")}
    assert len(configs) == len(
        [*(ROOT / "configs").rglob("*.flags"), *(ROOT / "configs").rglob("*.json")]
    )
    assert "cmnas = cmnas_tf.__main__:main" in scripts
    assert "Requires-Python: <3.14,>=3.10" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    for extra in ("serving", "faiss", "store", "browse", "torch", "onnx", "dev"):
        assert f"Provides-Extra: {extra}" in metadata
    needed = [
        line
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist") and "extra" not in line
    ]
    assert not [line for line in needed if "faiss" in line or "grpc" in line or "official" in line]


def test_search_train_evaluate_and_export_from_there(environment, tmp_path):
    """The first three without any package of an extra; nothing is called export."""
    cmnas = environment / "cmnas"
    assert "make_synthetic" in call(cmnas, "--help", cwd=tmp_path)
    people = (
        "--train_identities=8",
        "--test_identities=4",
        "--image_height=32",
        "--image_width=16",
    )
    call(cmnas, "make_synthetic", "--data_dir=people", *people, cwd=tmp_path)
    tiny = (*TINIEST, "--data_dir=people", "--epochs=2", "--strategy=one_device")
    alone = {"WITHOUT_EXTRAS": "1"}
    call(cmnas, "search", *tiny, "--run_dir=found", "--warmup_epochs=1", cwd=tmp_path, **alone)
    call(cmnas, "train", *tiny, "--run_dir=run", "--architecture=found", cwd=tmp_path, **alone)
    said = call(cmnas, "evaluate", "--data_dir=people", "--run_dir=run", cwd=tmp_path, **alone)
    assert "all_single_shot" in said
    said = call(
        cmnas, "export", "--run_dir=run", "--export_dir=export", "--noprogress", cwd=tmp_path
    )
    assert (tmp_path / "export" / "1" / "saved_model.pb").is_file()
    python = environment / "python"
    call(python, "-c", "import export.client", cwd=ROOT / "docs", code=1)
    where = call(python, "-c", "import cmnas_tf; print(cmnas_tf.__file__)", cwd=tmp_path).strip()
    assert str(environment.parent) in where


def test_configurations_are_found_from_any_folder(environment, tmp_path):
    said = call(
        environment / "cmnas",
        "study",
        "--flagfile=study_synthetic",
        "--data_dir=people",
        "--run_dir=cells",
        "--dry_run",
        cwd=tmp_path,
    )
    assert "168 cells" in said
