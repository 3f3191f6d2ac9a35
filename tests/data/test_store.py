"""Bytes of images by their paths, from a folder of files."""

import pytest
import tensorflow as tf

from cmnas_tf.data.store import FolderStore, in_threads, open_store


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.bmp").write_bytes(b"bytes that end in zeros\0\0")
    (tmp_path / "b.png").write_bytes(b"")
    return tmp_path


def test_a_folder_without_a_manifest_holds_files(folder):
    store = open_store(str(folder))
    assert isinstance(store, FolderStore)
    assert store.read("sub/a.bmp") == b"bytes that end in zeros\0\0"
    assert "b.png" in store
    assert "sub" not in store
    assert "c.png" not in store
    with pytest.raises(FileNotFoundError):
        store.read("c.png")


def test_absolute_paths_stay_what_they_are(folder, tmp_path_factory):
    """A table of images of one's own may have them."""
    file = tmp_path_factory.mktemp("elsewhere") / "a.png"
    file.write_bytes(b"there")
    store = FolderStore(folder)
    assert str(file) in store
    assert store.read(str(file)) == b"there"
    assert store.where(str(file)) == str(file)
    assert store.reader([str(file)])(tf.constant(0)) == b"there"


def test_a_graph_reads_by_row_number(folder):
    read = FolderStore(folder).reader(["b.png", "sub/a.bmp"])
    found = tf.data.Dataset.range(2).map(read)
    assert list(found.as_numpy_iterator()) == [b"", b"bytes that end in zeros\0\0"]


def test_threads_keep_the_order_and_are_not_far_ahead():
    """Of 250 paths the first is asked for while nothing behind the first 100 was begun: the results
    may be whole files."""
    begun = []

    def function(path):
        begun.append(path)
        return path * 2

    paths = [str(number) for number in range(250)]
    results = in_threads(function, paths)
    assert next(results) == "00"
    assert len(begun) <= 100
    assert list(results) == [path * 2 for path in paths[1:]]
    assert sorted(begun) == sorted(paths)
