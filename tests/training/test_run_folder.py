"""Whose folder is it: a new run, the same run again, or something else."""

import dataclasses
import json

import pytest

from cmnas_tf import settings as settings_module
from cmnas_tf.errors import BadInput
from cmnas_tf.training.run_folder import open_run


def train(folder, **groups):
    """Settings of a training; ``run={"seed": 1}`` changes a group."""
    made = settings_module.Train(run=settings_module.Run(run_dir=str(folder)))
    changed = {
        group: dataclasses.replace(getattr(made, group), **values)
        for group, values in groups.items()
    }
    return dataclasses.replace(made, **changed)


def test_a_new_folder_is_made_and_described(tmp_path):
    folder = open_run("train", train(tmp_path / "a" / "b"), "data")
    assert folder == tmp_path / "a" / "b"
    described = json.loads((folder / "run.json").read_text())
    assert described["command"] == "train"
    assert described["settings"]["backbone"] == "resnet50"
    assert described["settings"]["decay_epochs"] == [40.0, 70.0]
    assert "run_dir" not in described["settings"]
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_an_empty_folder_may_be_used(tmp_path):
    assert open_run("train", train(tmp_path), "data") == tmp_path


def test_the_same_run_is_taken_up_again(tmp_path):
    """With settings that do not shape the result changed, too."""
    open_run("train", train(tmp_path), "data")
    before = (tmp_path / "run.json").read_bytes()
    (tmp_path / "checkpoints").mkdir()
    again = train(
        tmp_path,
        data={"data_dir": "elsewhere"},
        pipeline={"cache": "decoded"},
        checkpointing={"keep_checkpoints": 5},
        progress={"progress": False},
    )
    assert open_run("train", again, "data") == tmp_path
    assert (tmp_path / "run.json").read_bytes() == before


def checkpointed(folder):
    """A run in ``folder`` that has reached its first checkpoint."""
    open_run("train", train(folder), "data")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-00000005.safetensors").write_bytes(b"")


def test_other_settings_are_named_with_both_values(tmp_path):
    checkpointed(tmp_path)
    other = train(tmp_path, run={"seed": 1}, optimizer={"decay_epochs": (30.0,)})
    with pytest.raises(BadInput) as error:
        open_run("train", other, "data")
    assert "--seed: 0 then, 1 now" in str(error.value)
    assert "--decay_epochs: [40.0, 70.0] then, [30.0] now" in str(error.value)
    assert "--backbone" not in str(error.value)


def test_a_run_that_has_no_checkpoint_yet_may_begin_anew(tmp_path):
    """It failed at its first batch, say, and the message advised another setting."""
    open_run("train", train(tmp_path), "data")
    advised = train(tmp_path, data={"skip_unreadable": True})
    assert open_run("train", advised, "data") == tmp_path
    described = json.loads((tmp_path / "run.json").read_text())
    assert described["settings"]["skip_unreadable"] is True


def test_a_run_of_another_command_is_refused(tmp_path):
    checkpointed(tmp_path)
    search = settings_module.Search(run=settings_module.Run(run_dir=str(tmp_path)))
    with pytest.raises(BadInput, match="holds a run of train, not of search"):
        open_run("search", search, "data")


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BadInput, match=r"holds files of something else"):
        open_run("train", train(tmp_path), "data")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"command": "train"}'])
def test_a_damaged_or_foreign_run_json_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(BadInput, match=r"run\.json|something else"):
        open_run("train", train(tmp_path), "data")
    assert (tmp_path / "run.json").read_text() == content


def test_no_folder_or_a_file_is_refused(tmp_path):
    with pytest.raises(BadInput, match="--run_dir is empty"):
        open_run("train", train(""), "data")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file is a file"):
        open_run("train", train(tmp_path / "file"), "data")
