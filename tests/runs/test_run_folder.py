"""Whose folder is it: a new run, the same run again, or something else."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys

import portalocker
import pytest
import tensorflow as tf

from cmnas_tf import settings as settings_module
from cmnas_tf.errors import BadInput
from cmnas_tf.runs import run_folder


def open_run(command, settings, fingerprint, strategy=None):
    """Opens a run and leaves it at once."""
    strategy = strategy or tf.distribute.get_strategy()
    with run_folder.open_run(command, settings, fingerprint, strategy) as folder:
        return folder


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
    assert described["settings"]["image_height"] == 256
    assert described["settings"]["decay_epochs"] == [40.0, 70.0]
    assert "run_dir" not in described["settings"]
    assert described["devices"] == 1
    assert {path.name for path in folder.iterdir()} == {"run.json", "run.lock"}


def test_an_empty_folder_may_be_used(tmp_path):
    assert open_run("train", train(tmp_path), "data") == tmp_path


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    """Be it the description of the run itself, without which a folder holds something else."""
    first = tmp_path / ".run.json.0123abcd.tmp"
    first.touch()
    open_run("train", train(tmp_path), "data")
    deeper = tmp_path / "checkpoints" / ".step-00000012.safetensors.1a2b3c4d.tmp"
    deeper.parent.mkdir()
    deeper.touch()
    own = tmp_path / "notes.tmp"
    own.touch()
    open_run("train", train(tmp_path), "data")
    assert (first.exists(), deeper.exists(), own.exists()) == (False, False, True)


def test_the_same_run_is_taken_up_again(tmp_path):
    """With settings that do not shape the result changed, too; nobody is said to use it since."""
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
    assert (tmp_path / "run.lock").read_text() == ""


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


def test_a_folder_in_use_is_refused_naming_who_uses_it(tmp_path):
    """By this very process, too; and it is free when the run is over, however it ended."""
    strategy = tf.distribute.get_strategy()
    with run_folder.open_run("train", train(tmp_path), "data", strategy):
        before = (tmp_path / "run.json").read_bytes()
        user = f"process {os.getpid()} on {socket.gethostname()}"
        with pytest.raises(BadInput, match=f"is in use by {user}. Wait for it, end it"):
            open_run("train", train(tmp_path, run={"seed": 1}), "data")
        assert (tmp_path / "run.json").read_bytes() == before
    with (
        pytest.raises(KeyboardInterrupt),
        run_folder.open_run("train", train(tmp_path), "data", strategy),
    ):
        raise KeyboardInterrupt
    open_run("train", train(tmp_path), "data")


def test_a_killed_process_leaves_the_folder_free(tmp_path):
    (tmp_path / "run.lock").touch()
    holder = "import sys, portalocker; f = open(sys.argv[1], 'r+'); portalocker.lock(f, 6)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{holder}; print(flush=True); sys.stdin.read()", "run.lock"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    with pytest.raises(BadInput, match="in use by another process"):
        open_run("train", train(tmp_path), "data")
    assert not (tmp_path / "run.json").exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    open_run("train", train(tmp_path), "data")


def test_where_nothing_can_be_locked_that_is_said(tmp_path, monkeypatch, capsys):
    def no_locks(*_):
        raise portalocker.LockException("No locks available")

    monkeypatch.setattr(portalocker, "lock", no_locks)
    open_run("train", train(tmp_path), "data")
    assert "lies where no file can be locked (No locks available)" in capsys.readouterr().err


def test_another_number_of_devices(tmp_path, two_replicas):
    """Another computation if each normalises for itself; else the run may go on."""
    checkpointed(tmp_path)
    with pytest.raises(BadInput, match=r"a run on 1 devices, and here are 2; with --batch_norm"):
        open_run("train", train(tmp_path), "data", two_replicas)
    again = train(tmp_path / "synchronized", devices={"batch_norm": "synchronized"})
    open_run("train", again, "data")
    (tmp_path / "synchronized" / "checkpoints").mkdir()
    (tmp_path / "synchronized" / "checkpoints" / "step-00000005.safetensors").write_bytes(b"")
    open_run("train", again, "data", two_replicas)
    assert json.loads((tmp_path / "synchronized" / "run.json").read_text())["devices"] == 2


def test_only_the_chief_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "is_chief", lambda _: False)
    assert open_run("train", train(tmp_path / "run"), "data") == tmp_path / "run"
    assert not (tmp_path / "run").exists()
