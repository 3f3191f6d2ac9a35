"""What an earlier version and the second line of TensorFlow left is resumed, counts, and loads.

``tests/earlier_version`` was written by the version of 20 November 2026, ``tests/second_line`` with
TensorFlow 2.20; the ``commands.sh`` of each has every command. Both are tested on whichever line
runs. Figures are compared with a tolerance, since other processors add in another order.
"""

import json
import lzma
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.data.decode import decode
from cmnas_tf.training.trained import load_network
from tests.end_to_end.processes import flags_of, run
from tests.training.commands import newest

pytestmark = pytest.mark.slow

EARLIER, SECOND = (Path(__file__).parents[1] / name for name in ("earlier_version", "second_line"))
PEOPLE = EARLIER / "people"


left_by_both = pytest.mark.parametrize("left", [EARLIER, SECOND], ids=lambda folder: folder.name)


def values(file):
    return json.loads(Path(file).read_text())


@pytest.fixture
def copy(tmp_path):
    """Copies a folder, to be worked in."""
    return lambda folder: shutil.copytree(folder, tmp_path / folder.name)


@left_by_both
def test_an_unfinished_search_is_resumed(left, copy):
    """From its checkpoint, by the flags of then, to the architecture that was found then."""
    folder, finished = copy(left / "search_unfinished"), left / "search_finished"
    run("search", *flags_of(left, "SEARCH"), f"--data_dir={PEOPLE}", f"--run_dir={folder}")
    found, then = (Architecture.load(path / "architecture.json") for path in (folder, finished))
    assert found == then
    if left == SECOND:  # which kept nothing else of it
        return
    for site, probability in then.provenance["probability_of_separate"].items():
        now = found.provenance["probability_of_separate"][site]
        assert now == pytest.approx(probability, abs=1e-3), site
    assert newest(folder).step == 6
    assert values(folder / "split.json") == values(finished / "split.json")
    name = "architectures/epoch_0001.json"  # which was written then, and is left alone
    assert (folder / name).read_bytes() == (finished / name).read_bytes()


@left_by_both
def test_an_unfinished_training_is_resumed(left, copy):
    """Of the same architecture, which lies somewhere else now."""
    folder = copy(left / "train_unfinished")
    flags = [flag for flag in flags_of(left, "TRAIN") if not flag.startswith("--architecture")]
    run(
        "train",
        *flags,
        f"--architecture={left / 'search_finished'}",
        f"--data_dir={PEOPLE}",
        f"--run_dir={folder}",
        "--threads=2",  # as it had then
    )
    found, then = newest(folder), newest(left / "train_finished")
    assert found.step == then.step == 10
    assert set(found.tensors) == set(then.tensors)
    for name, tensor in then.tensors.items():
        np.testing.assert_allclose(found.tensors[name], tensor, rtol=1e-2, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("other", ["--margin=0.5", "--seed=7", "--weight_decay=0.001"])
def test_a_run_is_not_resumed_by_other_options(copy, other):
    folder = copy(EARLIER / "search_unfinished")
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    flags = (*flags_of(EARLIER, "SEARCH"), f"--data_dir={PEOPLE}", f"--run_dir={folder}", other)
    _, err = run("search", *flags, code=2)
    assert f"{other.partition('=')[0]}=" in err and "then" in err
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


@left_by_both
def test_a_finished_training_is_measured_as_it_was(left, copy):
    folder = copy(left / "train_finished")
    then = values(folder / "results.json")
    run("evaluate", f"--data_dir={PEOPLE}", f"--run_dir={folder}", "--noprogress")
    now = values(folder / "results.json")
    assert now["chance"] == then["chance"]
    assert now["checkpoint"]["sha256"] == then["checkpoint"]["sha256"]
    for setting, scores in then["results"].items():
        for measure in ("rank1", "mAP", "mINP"):
            assert now["results"][setting][measure] == pytest.approx(scores[measure], abs=1e-6)


def test_a_finished_search_for_cells_can_be_trained():
    """Its cells are those that the trials trained."""
    found = Architecture.load(EARLIER / "cells_search_finished")
    trained = load_network(EARLIER / "trials" / "trial_01")
    assert trained.specification.architecture.backbone.genotype == found.backbone.genotype


def test_a_study_with_finished_cells_only_reports(copy):
    """By flags in flags, as they were given then, each with a note of what it is called now."""
    folder = copy(EARLIER / "study")
    then = values(folder / "study.json")
    logs = {log: log.read_bytes() for log in folder.glob("*/seed0/log.txt")}
    text = (EARLIER / "commands.sh").read_text()
    (line,) = re.findall(r"cmnas_tf\.study (.*?)\n\}", text, re.DOTALL)
    tiny = " ".join(re.search(r'TINY="(.*?)"', text, re.DOTALL)[1].split())
    words = shlex.split(line.replace("\\\n", " ").replace("$COMMON", f"{tiny} --backbone=resnet18"))
    flags = [w for w in words if not w.startswith(("--data_dir", "--run_dir"))]
    out, err = run("study", *flags, f"--data_dir={PEOPLE}", f"--run_dir={folder}")
    assert "search_flags is written" in err
    assert {log: log.read_bytes() for log in folder.glob("*/seed0/log.txt")} == logs  # none is run
    now = values(folder / "study.json")
    assert now["scores"] == then["scores"] and now["differences"] == then["differences"]
    assert "mAP" in out


def test_finished_trials_are_summarised_again(copy):
    folder = copy(EARLIER / "trials")
    then = values(folder / "trials.json")
    before = {path: path.read_bytes() for path in folder.rglob("*.safetensors")}
    text = (EARLIER / "commands.sh").read_text()
    (line,) = re.findall(r"cmnas_tf\.trials \$TINY (.*?)\n\}", text, re.DOTALL)
    words = shlex.split(line.replace("\\\n", " "))
    given = [w for w in words if not w.startswith(("--data_dir", "--run_dir", "--architecture"))]
    cells = f"--architecture={EARLIER / 'cells_search_finished'}"
    data = f"--data_dir={EARLIER / 'people_regdb'}"
    tiny = shlex.split(re.search(r'TINY="(.*?)"', text, re.DOTALL)[1])
    out, _ = run("trials", *tiny, *given, cells, data, f"--run_dir={folder}")
    assert {path: path.read_bytes() for path in folder.rglob("*.safetensors")} == before
    assert values(folder / "trials.json")["results"] == then["results"]
    assert "trial" in out


@left_by_both
def test_an_exported_model_loads_and_embeds_as_it_did(left, copy):
    folder = copy(left / "export") / "1"
    packed = folder / "saved_model.pb.xz"
    (folder / "saved_model.pb").write_bytes(lzma.decompress(packed.read_bytes()))
    signatures = tf.saved_model.load(str(folder)).signatures
    kept = np.load(left / "export" / "embeddings.npz")
    names = {key.partition("/")[0] for key in kept}
    assert names == (set(signatures) if left == EARLIER else {"visible", "infrared"})
    for name in names:
        contents = [(PEOPLE / file).read_bytes() for file in kept[f"{name}/files"]]
        if name.endswith("_pixels"):
            given = {"pixels": tf.stack([decode(content, 32, 16) for content in contents])}
        else:
            given = {"image_bytes": tf.constant(contents)}
        if not any(modality in name for modality in ("visible", "infrared")):
            given["modality"] = tf.constant(kept[f"{name}/modality"])
        signature = signatures[name if left == EARLIER else f"embed_{name}"]
        found = signature(**given)["embedding"].numpy()
        np.testing.assert_allclose(found, kept[f"{name}/embedding"], rtol=1e-5, atol=1e-5)
