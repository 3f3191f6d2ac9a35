"""Infrared cameras that write 16 bits, visible ones that write 8: from folder to results."""

import json

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file

from cmnas_tf.data import load_dataset
from cmnas_tf.evaluation.results_file import results_files
from cmnas_tf.training.trained import load_network
from tests.tiny_people import TINIEST, write_people
from tests.training.commands import Command, newest

pytestmark = pytest.mark.slow
RANGE = (29_000, 29_000 + 4 * 255)  # the other way round than `deep`, exactly
GIVEN = "--grey16_range=29000,30020"


def thermal(root, deep):
    """SYSU-MM01 whose infrared images are greyscale PNGs, of 16 bits or of 8."""
    write_people(root)
    for file in [file for camera in (3, 6) for file in (root / f"cam{camera}").rglob("*.jpg")]:
        grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        values = grey.astype(np.uint16) * 4 + RANGE[0] if deep else grey
        assert cv2.imwrite(str(file.with_suffix(".png")), values)
        file.unlink()
    return f"--data_dir={root}"


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    return thermal(tmp_path_factory.mktemp("data") / "deep", deep=True)


def told(code, command, *flags, log):
    found, output = Command(command, *flags, log=log / "log.txt").wait()
    assert found == code, output
    return output


@pytest.fixture(scope="module")
def run_dir(deep, tmp_path_factory):
    log = tmp_path_factory.mktemp("run")
    told(0, "train", *TINIEST, "--epochs=1", deep, GIVEN, f"--run_dir={log / 'run'}", log=log)
    return log / "run"


def test_without_a_range_they_are_refused_and_their_values_told(deep, tmp_path):
    flags = (*TINIEST, "--epochs=1", deep, f"--run_dir={tmp_path / 'run'}")
    refused = told(2, "train", *flags, log=tmp_path)
    assert "a PNG with 16 bits a colour; train with --grey16_range where it is" in refused
    assert "31 more like it" in refused
    said = told(2, "prepare", deep, "--noprogress", log=tmp_path)
    assert "48 PNGs are greyscale of 16 bits; 48 of them have values 29" in said
    assert "a PNG with 16 bits a colour" in said and "not fit for use" in said
    said = told(0, "prepare", deep, "--noprogress", GIVEN, log=tmp_path)
    assert "48 PNGs are greyscale of 16 bits" in said and "fit for use" in said


def test_a_run_keeps_to_its_range(deep, run_dir, tmp_path):
    assert json.loads((run_dir / "run.json").read_text())["settings"]["grey16_range"] == [*RANGE]
    flags = (*TINIEST, "--epochs=1", deep, f"--run_dir={run_dir}")
    other = told(2, "train", *flags, "--grey16_range=29000,30000", log=tmp_path)
    assert "grey16_range=[29000, 30020] then, [29000, 30000] now" in other
    model = load_network(run_dir)
    assert model.specification.grey16 == RANGE
    assert newest(run_dir).metadata["specification"]["grey16"] == [*RANGE]


def test_it_is_the_training_on_images_scaled_before(deep, run_dir, tmp_path):
    """To the last bit of each weight; and so are the embeddings."""
    eight = thermal(tmp_path / "eight", deep=False)
    told(0, "train", *TINIEST, "--epochs=1", eight, f"--run_dir={tmp_path / 'run'}", log=tmp_path)
    expected, found = (load_file(newest(run).path) for run in (tmp_path / "run", run_dir))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor, name)
    assert "grey16" not in newest(tmp_path / "run").metadata["specification"]
    embedded = [
        load_network(run).embed_dataset(load_dataset("sysu_mm01", folder.partition("=")[2]))
        for run, folder in ((tmp_path / "run", eight), (run_dir, deep))
    ]
    np.testing.assert_array_equal(*embedded)


def test_evaluation_and_search_follow(deep, run_dir, tmp_path):
    """Evaluation by itself, and where images are looked through before, too."""
    given = (deep, f"--run_dir={run_dir}", "--noprogress")
    told(0, "evaluate", *given, log=tmp_path)
    told(0, "evaluate", *given, "--skip_unreadable", log=tmp_path)
    for file in results_files(load_network(run_dir).run):
        assert json.loads(file.read_text())["dataset"]["left_out"] == []
    flags = (*TINIEST, "--epochs=2", "--warmup_epochs=1", deep, f"--run_dir={tmp_path / 'search'}")
    told(0, "search", *flags, GIVEN, "--skip_unreadable", "--threads=1", log=tmp_path)
    assert (tmp_path / "search" / "architecture.json").is_file()
    # TensorFlow takes no number of threads once it has decoded something.
    assert json.loads((tmp_path / "search" / "run.json").read_text())["threads"] == 1
