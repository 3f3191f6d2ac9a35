"""Search, training and evaluation on shards give what they give on the folder, bit for bit."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cmnas_tf.training.checkpoints import Checkpoints

pytestmark = pytest.mark.slow

TINY = (
    "--backbone=resnet18",
    "--width=0.0625",
    "--image_height=32",
    "--image_width=16",
    "--identities_per_batch=4",
    "--images_per_identity=2",
    "--pad=2",
    "--epochs=2",
    "--noprogress",
)


def run(command, *flags):
    done = subprocess.run(
        [sys.executable, "-m", f"cmnas_tf.{command}", *map(str, flags)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def newest(folder):
    return Checkpoints(folder / "checkpoints").newest().digest


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The flags that name a folder with 8 + 4 people, and those that name its shards."""
    root = tmp_path_factory.mktemp("data")
    people = ("--train_identities=8", "--test_identities=4", "--images_per_camera=2")
    size = ("--image_height=32", "--image_width=16")
    folder, shards = root / "folder", root / "shards"
    run("make_synthetic", f"--data_dir={folder}", *people, *size, "--processes=1", "--noprogress")
    run("prepare", f"--data_dir={folder}", f"--shards_dir={shards}", "--noprogress")
    return f"--data_dir={folder}", f"--data_dir={shards}"


def test_a_training_begun_on_the_folder_goes_on_on_its_shards(data, tmp_path):
    """As if it had been stopped after the first of two epochs; and both are evaluated alike."""
    whole = tmp_path / "whole"
    run("train", *TINY, data[0], f"--run_dir={whole}")
    stopped = shutil.copytree(whole, tmp_path / "stopped")
    _, second = Checkpoints(stopped / "checkpoints").paths()
    second.unlink()
    run("train", *TINY, data[1], f"--run_dir={stopped}")
    assert newest(stopped) == newest(whole)
    results = []
    for name in data:
        run("evaluate", name, f"--run_dir={whole}", "--noprogress")
        results.append(json.loads((whole / "results.json").read_text()))
    assert results[0] == results[1]
