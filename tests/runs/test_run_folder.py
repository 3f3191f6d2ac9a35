"""Whose folder is it: a new run, the same run again, or something else."""

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys

import portalocker
import pytest

from cmnas_tf.commands.train import Train
from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, described, option
from cmnas_tf.runs.run_folder import ANYTHING, Description, RunFolder, changed, content_of

OPTIONS = Train.options()


def description(command="train", data="data", devices=1, **changes):
    """Of a training with some options changed."""
    return Description(command, data, described([Train().with_values(**changes)]), devices)


def opened(folder, of=None, **others):
    """Opens a run, leaves it at once, and gives its folder."""
    run = RunFolder(folder)
    with run.opened(of or description(), OPTIONS, **others):
        return run.path


def test_a_new_folder_is_made_and_described(tmp_path):
    folder = opened(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    written = json.loads((folder / "run.json").read_text())
    assert written["command"] == "train"
    assert written["settings"]["image_height"] == 256
    assert written["settings"]["decay_epochs"] == [40.0, 70.0]
    assert "run_dir" not in written["settings"]
    assert written["devices"] == 1
    assert {path.name for path in folder.iterdir()} == {"run.json", "run.lock"}


def test_an_empty_folder_may_be_used(tmp_path):
    assert opened(tmp_path) == tmp_path


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    """Be it the description of the run itself, without which a folder holds something else."""
    first = tmp_path / ".run.json.0123abcd.tmp"
    first.touch()
    opened(tmp_path)
    deeper = tmp_path / "checkpoints" / ".step-00000012.safetensors.1a2b3c4d.tmp"
    deeper.parent.mkdir()
    deeper.touch()
    own = tmp_path / "notes.tmp"
    own.touch()
    opened(tmp_path)
    assert (first.exists(), deeper.exists(), own.exists()) == (False, False, True)


def test_the_same_run_is_resumed(tmp_path):
    """With options changed that do not affect the result, too; nobody is said to use it since."""
    opened(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    (tmp_path / "checkpoints").mkdir()
    again = description(data_dir="elsewhere", cache="decoded", keep_checkpoints=5, progress=False)
    assert opened(tmp_path, again) == tmp_path
    assert (tmp_path / "run.json").read_bytes() == before
    assert (tmp_path / "run.lock").read_text() == ""


def checkpointed(folder):
    """A run in ``folder`` that has reached its first checkpoint."""
    opened(folder)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-00000005.safetensors").write_bytes(b"")


def test_other_options_are_named_with_both_values(tmp_path):
    checkpointed(tmp_path)
    with pytest.raises(BadInput) as error:
        opened(tmp_path, description(seed=1, decay_epochs=(30.0,)))
    assert "seed=0 then, 1 now" in str(error.value)
    assert "decay_epochs=[40.0, 70.0] then, [30.0] now" in str(error.value)
    assert "backbone" not in str(error.value)


def test_a_run_that_has_no_checkpoint_yet_may_begin_anew(tmp_path):
    """It failed at its first batch, say, and the message advised another option."""
    opened(tmp_path)
    assert opened(tmp_path, description(skip_unreadable=True)) == tmp_path
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["settings"]["skip_unreadable"] is True


def test_a_run_of_another_command_is_refused(tmp_path):
    checkpointed(tmp_path)
    with pytest.raises(BadInput, match="holds a run of train, not of search"):
        opened(tmp_path, description("search"))


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BadInput, match=r"holds files of something else"):
        opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"command": "train"}'])
def test_a_damaged_or_foreign_run_json_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(BadInput, match=r"run\.json|something else"):
        opened(tmp_path)
    assert (tmp_path / "run.json").read_text() == content


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"run_dir=.*file is a file"):
        opened(tmp_path / "file")


def test_without_a_path_it_is_temporary():
    run = RunFolder()
    with run.opened(description(), OPTIONS):
        assert run.description.is_file()
    path = run.path
    del run
    assert not path.exists()


def test_a_folder_in_use_is_refused_naming_who_uses_it(tmp_path):
    """By this very process, too; and it is free when the run is over, however it ended."""
    with RunFolder(tmp_path).opened(description(), OPTIONS):
        before = (tmp_path / "run.json").read_bytes()
        user = f"process {os.getpid()} on {socket.gethostname()}"
        with pytest.raises(BadInput, match=f"is in use by {user}. Wait for it, end it"):
            opened(tmp_path, description(seed=1))
        assert (tmp_path / "run.json").read_bytes() == before
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path).opened(description(), OPTIONS):
        raise KeyboardInterrupt
    opened(tmp_path)


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
        opened(tmp_path)
    assert not (tmp_path / "run.json").exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    opened(tmp_path)


def test_where_nothing_can_be_locked_that_is_said(tmp_path, monkeypatch, caplog):
    def no_locks(*_):
        raise portalocker.LockException("No locks available")

    monkeypatch.setattr(portalocker, "lock", no_locks)
    with caplog.at_level("INFO"):
        opened(tmp_path)
    assert "lies where no file can be locked (No locks available)" in caplog.text


def test_other_images(tmp_path):
    checkpointed(tmp_path)
    with pytest.raises(BadInput, match="a run on other images than `data_dir` lists now"):
        opened(tmp_path, description(data="others"))


def test_another_number_of_devices(tmp_path):
    """Another computation if each normalises for itself; else the run may be resumed."""
    checkpointed(tmp_path)
    with pytest.raises(BadInput, match=r"a run on 1 devices, and here are 2; with batch_norm=per"):
        opened(tmp_path, description(devices=2))
    together = tmp_path / "synchronized"
    opened(together, description(batch_norm="synchronized"))
    (together / "checkpoints").mkdir()
    (together / "checkpoints" / "step-00000005.safetensors").write_bytes(b"")
    opened(together, description(batch_norm="synchronized", devices=2))
    assert json.loads((together / "run.json").read_text())["devices"] == 2


def test_who_does_not_write_leaves_the_folder_alone(tmp_path):
    assert opened(tmp_path / "run", writes=False) == tmp_path / "run"
    assert not (tmp_path / "run").exists()


def known(name, default, **details):
    """The option of that name."""
    field = option(default, "Help.", **details)
    made = dataclasses.make_dataclass("Made", [(name, type(default), field)], bases=(Options,))
    return made.options()[0]


def test_an_option_that_did_not_exist_then_had_the_default_it_was_introduced_with():
    options = [known("heat", 180), known("fan", False)]
    assert changed({"heat": 180}, {"heat": 180, "fan": False}, options) == []
    found = changed({"heat": 180}, {"heat": 180, "fan": True}, options)
    assert found == ["fan=False then, True now"]


def test_an_option_that_had_another_name():
    options = [known("heat", 180, old_names=("temperature",))]
    assert changed({"temperature": 200}, {"heat": 200}, options) == []
    found = changed({"temperature": 200}, {"heat": 180}, options)
    assert found == ["heat=200 then, 180 now"]


def test_an_option_that_is_gone():
    """It is named, unless it is known to have made no difference, or none with that value."""
    before, now, options = {"heat": 180, "rack": 2}, {"heat": 180}, [known("heat", 180)]
    assert changed(before, now, options) == ["rack=2 then, not known now"]
    assert changed(before, now, options, {"rack": ANYTHING}) == []
    assert changed(before, now, options, {"rack": 2}) == []
    assert changed(before, now, options, {"rack": 3}) == ["rack=2 then, 3 now"]


def test_a_file_is_recorded_by_its_content(tmp_path):
    """Of a run's folder by that of its newest checkpoint; a word stays a word."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("content")
    other.write_text("content")
    assert content_of(str(one)) == content_of(str(other))
    assert re.fullmatch("sha256:[0-9a-f]{64}", content_of(str(one)))
    other.write_text("changed")
    assert content_of(str(one)) != content_of(str(other))
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "step-00000001.safetensors").write_text("older")
    (folder / "step-00000002.safetensors").write_text("content")
    assert content_of(str(tmp_path / "run")) == content_of(str(one))
    assert (content_of("imagenet"), content_of("")) == ("imagenet", "")
