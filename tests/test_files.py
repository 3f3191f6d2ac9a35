"""Whole files or none."""

import gc
import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cmnas_tf import files
from cmnas_tf.errors import BadInput
from cmnas_tf.files import new_path, replacing, write_arrays, write_json, write_text
from tests.disks import room_for


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as aside:
        assert aside.parent == tmp_path and aside != path
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as aside:
        aside.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_missing_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "grüße\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "grüße\n".encode()


def test_a_folder_appears_whole(tmp_path):
    path = tmp_path / "model"
    with replacing(path) as aside:
        aside.mkdir()
        (aside / "weights").write_text("1")
        assert not path.exists()
    assert names(tmp_path) == ["model"] and names(path) == ["weights"]
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "other") as aside:
        aside.mkdir()
        _ = 1 / 0
    assert names(tmp_path) == ["model"]


def test_a_folder_that_holds_something_is_never_replaced(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "precious").touch()
    other = "Another process has written .*/model meanwhile.* nothing was written. Rerun"
    with pytest.raises(BadInput, match=other), replacing(path) as aside:
        aside.mkdir()
    assert names(tmp_path) == ["model"] and names(path) == ["precious"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "model").mkdir()
    with replacing(tmp_path / "model") as aside:
        aside.mkdir()
        (aside / "weights").touch()
    assert names(tmp_path / "model") == ["weights"]


KILLED = """
import os, signal, sys
from pathlib import Path
from cmnas_tf.files import replacing
with replacing(Path(sys.argv[1])) as aside:
    if sys.argv[2] == "folder":
        (aside / "variables").mkdir(parents=True)
        (aside / "variables" / "data").write_text("half")
    else:
        aside.write_text("half")
    print(aside.name, flush=True)
    signal.pause()
"""


@pytest.fixture(params=["file", "folder"])
def writing(request, tmp_path):
    """A process that is writing ``a [1].npz``, and what it writes to."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "a [1].npz"), request.param],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as process:
        yield process, tmp_path / process.stdout.readline().strip()
        process.kill()


def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_the_same(
    writing, tmp_path, caplog
):
    """And nothing else, neither of other names nor like it."""
    caplog.set_level(logging.INFO, "cmnas_tf")
    process, left = writing
    others = [
        ".a [1].npz.tmp",
        ".a [1].npz.0123456.tmp",
        ".a 1.npz.01234567.tmp",
        ".b.01234567.tmp",
    ]
    for name in others:
        (tmp_path / name).touch()
    process.kill()
    process.wait()
    write_text(tmp_path / "b.npz", "")
    assert left.exists()
    write_text(tmp_path / "a [1].npz", "whole")
    assert names(tmp_path) == sorted([*others, "a [1].npz", "b.npz"])
    assert (tmp_path / "a [1].npz").read_text() == "whole"
    assert caplog.messages == [f"{left} is removed, which a process left that was killed."]


def test_what_a_living_process_writes_stays(writing, tmp_path):
    """Once more after others have written, and while this one writes itself."""
    _, left = writing
    for _ in range(2):
        write_text(tmp_path / "a [1].npz.other", "")
    with replacing(tmp_path / "a [1].npz") as aside:
        aside.write_text("whole")
        write_text(tmp_path / "a [1].npz", "first")
    assert (tmp_path / "a [1].npz").read_text() == "whole"
    assert left.exists()


def test_where_a_folder_cannot_be_locked_nothing_is_removed(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    left = tmp_path / ".a.json.01234567.tmp"
    left.touch()
    write_json(tmp_path / "a.json", 1)
    assert names(tmp_path) == [left.name, "a.json"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_json(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, 2.5, None]})
    assert json.loads(path.read_text()) == {"a": [1, 2.5, None]}
    assert path.read_text().endswith("}\n")
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})  # no JSON that others could read
    assert json.loads(path.read_text()) == {"a": [1, 2.5, None]}
    assert names(tmp_path) == ["a.json"]


def test_a_new_path_is_one_where_nothing_is(tmp_path):
    assert new_path(str(tmp_path / "a" / "b"), "output") == tmp_path / "a" / "b"
    for taken in ("", str(tmp_path)):
        with pytest.raises(BadInput, match=rf"output='{taken}' is empty or exists; give the path"):
            new_path(taken, "output")


ARRAYS = {"a": np.eye(3, dtype=np.float32), "b": np.array(["x", "yy"]), "c": "text"}


def test_arrays_are_those_of_numpy(tmp_path):
    np.savez(expected := io.BytesIO(), **ARRAYS)
    write_arrays(tmp_path / "a.npz", ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == expected.getvalue()


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("size", [0, 50, 200, 500, 700])
def test_arrays_on_a_disk_without_room(size, tmp_path):
    """No archive is left open, which would complain when it is thrown away."""
    (tmp_path / "a.npz").write_text("before")
    with pytest.raises(OSError, match="File too large") as raised, room_for(size):
        write_arrays(tmp_path / "a.npz", ARRAYS)
    assert raised.value.filename == str(tmp_path / "a.npz")
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert (tmp_path / "a.npz").read_text() == "before"
