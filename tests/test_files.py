"""Whole files or none."""

import json

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.files import new_path, replacing, write_json, write_text


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
    with pytest.raises(OSError), replacing(path) as aside:
        aside.mkdir()
    assert names(tmp_path) == ["model"] and names(path) == ["precious"]


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
