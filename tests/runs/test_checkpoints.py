"""Checkpoint files: what goes in comes out, and what is damaged or foreign is refused by name."""

import errno
import json
import logging
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from cmnas_tf.errors import BadInput, TrainingDiverged
from cmnas_tf.runs import checkpoints
from cmnas_tf.runs.checkpoints import Checkpoints
from tests.runs.saving import save

METADATA = {"settings": {"seed": 3, "decay_epochs": [40.0, 70.0]}, "name": "größer"}


def state_of(kernel=((1.0, 2.0), (3.0, 4.0)), count=7, scale=0.5):
    """A matrix, an integer scalar and a float scalar, in two parts."""
    return {
        "network": {"conv.kernel": tf.Variable(kernel), "scale": tf.Variable(scale)},
        "optimizer": {"0": tf.Variable(count, dtype=tf.int64)},
    }


def values_of(state):
    return {
        (part, n): v.numpy().tolist() for part, group in state.items() for n, v in group.items()
    }


def saved(folder, step=5, **values):
    return save(folder, step, state_of(**values), METADATA)


def test_round_trip(tmp_path):
    """Values, dtypes and shapes (those of scalars too), step and metadata."""
    checkpoint = checkpoints.read(saved(tmp_path))
    assert (checkpoint.step, checkpoint.metadata) == (5, METADATA)
    assert {name: (x.dtype, x.shape) for name, x in checkpoint.tensors.items()} == {
        "network/conv.kernel": (np.float32, (2, 2)),
        "network/scale": (np.float32, ()),
        "optimizer/0": (np.int64, ()),
    }
    other = state_of(np.zeros((2, 2), np.float32), 0, 0.0)
    checkpoint.restore(other)
    assert values_of(other) == values_of(state_of())


def test_equal_states_are_equal_bytes(tmp_path):
    files = [saved(tmp_path / str(number)).read_bytes() for number in range(20)]
    assert len(set(files)) == 1


def test_words_that_are_not_ascii_are_kept(tmp_path):
    metadata = {"people": ["Zoë", "李", '"\\']}
    path = save(tmp_path, 5, state_of(), metadata)
    assert checkpoints.read(path).metadata == metadata


def test_part_of_a_checkpoint_can_be_restored(tmp_path):
    """A network is read without its optimizer."""
    network = state_of(np.zeros((2, 2), np.float32))["network"]
    checkpoints.read(saved(tmp_path)).restore({"network": network})
    assert network["conv.kernel"].numpy().tolist() == [[1, 2], [3, 4]]


def test_variables_that_are_missing_or_of_another_shape_are_named(tmp_path):
    """And nothing is assigned, not even what fits."""
    path = saved(tmp_path)
    state = state_of(np.zeros((2, 3), np.float32), count=0)
    state["network"]["head.bias"] = tf.Variable([0.0])
    with pytest.raises(BadInput) as error:
        checkpoints.read(path).restore(state)
    assert str(path) in str(error.value)
    assert "network/conv.kernel has shape (2, 2), not (2, 3)" in str(error.value)
    assert "network/head.bias is missing" in str(error.value)
    assert state["optimizer"]["0"].numpy() == 0


def test_of_many_mismatches_some_are_named_and_the_others_counted(tmp_path):
    state = {"network": {f"v{number}": tf.Variable(0.0) for number in range(7)}}
    with pytest.raises(BadInput, match=r"v0 is missing.*v3 is missing; and 3 more"):
        checkpoints.read(saved(tmp_path)).restore(state)


def test_the_digest_is_of_all_that_is_in_the_file_and_of_nothing_else(tmp_path):
    def digest(tensors, step=1, metadata=METADATA):
        checkpoints.write(tmp_path / "file", step, tensors, metadata)
        return checkpoints.read(tmp_path / "file").digest

    x = np.arange(6, dtype=np.float32)
    same = [
        digest({"a": x, "b": x}),
        digest({"b": x, "a": x}),
        digest({"a": x, "b": np.repeat(x, 2)[::2]}),  # another layout in memory
        digest({"a": x, "b": x}, metadata=dict(reversed(METADATA.items()))),
    ]
    others = [
        digest({"a": x, "c": x}),
        digest({"a": x, "b": x + 1}),
        digest({"a": x, "b": x.reshape(2, 3)}),
        digest({"a": x, "b": x.view(np.int32)}),
        digest({"a": x}),
        digest({"a": x, "b": x}, step=2),
        digest({"a": x, "b": x}, metadata={}),
    ]
    assert len(set(same)) == 1
    assert len({same[0], *others}) == 8


def test_the_digest_of_a_state_is_that_of_its_values():
    digests = [checkpoints.state_digest(state_of(count=count)) for count in (7, 7, 8)]
    assert digests[0] == digests[1] != digests[2]


def test_the_newest_are_kept(tmp_path):
    """Ten million steps sort behind nine, and files of others are left alone."""
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".step-00000001.safetensors.1a2b3c4d.tmp").write_text("")
    kept = Checkpoints(tmp_path, keep=2)
    assert kept.newest() is None
    for step in (9, 80, 700, 10_000_000):
        save(tmp_path, step, state_of(count=step), {})
    assert [path.name for path in kept.paths()] == [
        "step-00000700.safetensors",
        "step-10000000.safetensors",
    ]
    newest = kept.newest()
    assert (newest.step, newest.tensors["optimizer/0"]) == (10_000_000, 10_000_000)
    assert len(list(tmp_path.iterdir())) == 4


def test_no_folder_is_no_checkpoint(tmp_path):
    assert Checkpoints(tmp_path / "none").paths() == []
    assert Checkpoints(tmp_path / "none").newest() is None


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    """The disk is full, or Ctrl-C is pressed, when the bytes are half written."""
    path = saved(tmp_path)
    before = path.read_bytes()

    def half_written(self, data):
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_bytes", half_written)
    with pytest.raises(KeyboardInterrupt):
        saved(tmp_path, count=8)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_written(tmp_path, value):
    with pytest.raises(TrainingDiverged, match=r"After step 5 the variable network/scale"):
        saved(tmp_path, scale=value)
    assert list(tmp_path.iterdir()) == []


def test_an_old_checkpoint_outlives_one_that_is_not_finite(tmp_path):
    saved(tmp_path, step=4)
    with pytest.raises(TrainingDiverged):
        saved(tmp_path, scale=np.nan)
    assert Checkpoints(tmp_path).newest().step == 4


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"No checkpoint .*/none\.safetensors"):
        checkpoints.read(tmp_path / "none.safetensors")


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named(tmp_path, kept):
    path = saved(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(BadInput, match=rf"{path.name} .* truncated"):
        checkpoints.read(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_flipped_bit_is_found_wherever_it_is(tmp_path, data):
    """In the values, the names, the step or the metadata: the file is refused and named."""
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1), label="byte")
    content[place] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path.write_bytes(content)
    with pytest.raises(BadInput, match=path.name):
        checkpoints.read(path)


def test_a_file_of_another_program_is_named(tmp_path):
    """Some other text, and safetensors without or with other metadata."""
    (tmp_path / "a").write_text("no checkpoint, but longer than the length of a header")
    save_file({"x": np.zeros(2)}, tmp_path / "b")
    save_file({"x": np.zeros(2)}, tmp_path / "c", {"format": "pt"})
    save_file({"x": np.zeros(2)}, tmp_path / "d", {"cmnas_tf": json.dumps({"step": 1})})
    for name in "abcd":
        with pytest.raises(BadInput, match=rf"/{name} is not a checkpoint of this program"):
            checkpoints.read(tmp_path / name)


def test_a_damaged_newest_is_passed_over_with_a_warning(tmp_path, caplog):
    older, newest = saved(tmp_path, step=4), saved(tmp_path, step=5)
    newest.write_bytes(newest.read_bytes()[:-7])
    assert Checkpoints(tmp_path).newest().step == 4
    (said,) = caplog.records
    assert said.levelno == logging.WARNING and f"{newest} is not a checkpoint" in said.getMessage()
    older.write_bytes(b"")
    with pytest.raises(BadInput, match=f"No checkpoint in {tmp_path} can be read"):
        Checkpoints(tmp_path).newest()


def test_what_is_saved_in_the_background_is_the_state_of_that_moment(tmp_path, monkeypatch):
    """The variable moves on while the file is written."""
    may_write = threading.Event()
    write = checkpoints.write

    def waiting(*arguments):
        may_write.wait(10)
        write(*arguments)

    monkeypatch.setattr(checkpoints, "write", waiting)
    state, kept = state_of(count=7), Checkpoints(tmp_path)
    kept.save(1, state, METADATA)
    state["optimizer"]["0"].assign(8)
    assert kept.paths() == []
    may_write.set()
    kept.wait()
    assert kept.newest().tensors["optimizer/0"] == 7


def test_a_full_disk_in_the_background_is_told_and_leaves_the_old_one(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path)
    save(tmp_path, 1, state_of(), METADATA)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        kept.save(2, state_of(), METADATA)
        with pytest.raises(OSError, match="No space left"), kept.finishing():
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]
    assert kept.newest().step == 1
