"""Search, training and evaluation on shards give what they give on the folder, bit for bit."""

import json
import shutil

import pytest

from cmnas_tf.runs.checkpoints import Checkpoints
from tests.tiny_people import TINIEST, write_people
from tests.training.commands import Command, newest

pytestmark = pytest.mark.slow

EPOCHS = (*TINIEST, "--epochs=2")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The flags that name a folder with 8 + 4 people, and those that name its shards."""
    root = tmp_path_factory.mktemp("data")
    folder, shards = write_people(root / "folder"), root / "shards"
    done("prepare", f"--data_dir={folder}", f"--shards_dir={shards}", "--noprogress", log=root)
    return f"--data_dir={folder}", f"--data_dir={shards}"


def done(command, *flags, log):
    code, output = Command(command, *flags, log=log / "log.txt").wait()
    assert code == 0, output


def test_a_search_finds_the_same(data, tmp_path):
    runs = tmp_path / "folder", tmp_path / "shards"
    for name, folder in zip(data, runs, strict=True):
        flags = (*EPOCHS, "--warmup_epochs=1", name, f"--run_dir={folder}")
        done("search", *flags, log=tmp_path)
    assert newest(runs[0]).digest == newest(runs[1]).digest


def test_a_training_begun_on_the_folder_is_resumed_on_its_shards(data, tmp_path):
    """As if it had been stopped after the first of two epochs; and both are evaluated alike."""
    whole = tmp_path / "whole"
    done("train", *EPOCHS, data[0], f"--run_dir={whole}", log=tmp_path)
    stopped = shutil.copytree(whole, tmp_path / "stopped")
    _, second = Checkpoints(stopped / "checkpoints").paths()
    second.unlink()
    done("train", *EPOCHS, data[1], f"--run_dir={stopped}", log=tmp_path)
    assert newest(stopped).digest == newest(whole).digest
    results = []
    for name in data:
        done("evaluate", name, f"--run_dir={whole}", "--noprogress", log=tmp_path)
        results.append(json.loads((whole / "results.json").read_text()))
    assert results[0] == results[1]
