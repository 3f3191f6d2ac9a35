"""A gallery file grows and shrinks without embedding the rest anew; a model searches in it."""

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cmnas_tf.errors import BadInput
from cmnas_tf.reading import read_bytes
from cmnas_tf.serving.build_gallery import build_gallery, gallery_of
from cmnas_tf.serving.export import export_saved_model
from cmnas_tf.serving.exported_model import ServedForm
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.training.trained import load_network
from tests.serving.networks import small, write_run


@pytest.fixture(scope="module")
def specification(one_block_throughout):
    return small()


@pytest.fixture(scope="module")
def model(specification, tmp_path_factory):
    return load_network(write_run(tmp_path_factory.mktemp("run"), specification))


@pytest.fixture(scope="module")
def other(specification, tmp_path_factory):
    """Another network."""
    return load_network(write_run(tmp_path_factory.mktemp("other"), specification, seed=5))


def write_images(folder, names, seed=0):
    random = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (32, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


FIRST = ["infrared/cam3/7/a.png", "visible/cam1/7/a.png", "visible/cam1/8/a.png"]


@pytest.fixture(scope="module")
def index(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    built = build_gallery(model, folder / "g.npz", write_images(folder / "first", FIRST))
    assert str(built).endswith("3 entries of 2 ids; 0 removed, 0 replaced, 3 added")
    return folder / "g.npz"


def test_embeddings_are_the_networks(model, index):
    gallery = Gallery.load(index)
    assert gallery.names.tolist() == FIRST
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for name, found, modality in zip(
        gallery.names, gallery.embeddings, gallery.modalities, strict=True
    ):
        pixels = np.asarray(Image.open(index.parent / "first" / name))
        image = ((pixels / 255 - mean) / std).astype(np.float32)[None]
        wanted = model.network.embed(image, modality).embedding.numpy()[0]
        np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), rtol=0, atol=1e-5)


def test_only_what_is_added_is_embedded(model, index, tmp_path, monkeypatch):
    before, path = Gallery.load(index), tmp_path / "g.npz"
    before.save(path)
    embedded = []

    def noted(file):
        embedded.append(file.name)
        return read_bytes(file)

    monkeypatch.setattr("cmnas_tf.serving.build_gallery.read_bytes", noted)
    new = write_images(tmp_path / "new", [FIRST[1], "visible/cam2/9/new.png"], seed=1)
    with pytest.raises(BadInput, match=r"has visible/cam1/7/a.png .*`replace`"):
        build_gallery(model, path, new)
    assert embedded == []
    built = build_gallery(model, path, new, replace=True, remove=("*/cam3/*",))
    assert str(built).endswith("3 entries of 3 ids; 1 removed, 1 replaced, 1 added")
    assert embedded == ["a.png", "new.png"]
    after = Gallery.load(path)
    assert after.names.tolist() == [*FIRST[1:], "visible/cam2/9/new.png"]
    np.testing.assert_array_equal(after.embeddings[1], before.embeddings[2])
    assert np.abs(after.embeddings[0] - before.embeddings[1]).max() > 0.01
    build_gallery(model, path, remove=("visible/cam2/9/new.png",))
    assert Gallery.load(path).names.tolist() == FIRST[1:]


def test_a_store_is_changed_as_a_file_is(model, other, index, tmp_path):
    """A file is put into it, images are added, entries removed, and it becomes a file again."""
    pytest.importorskip("lancedb")
    store, file, back = tmp_path / "g.lance", tmp_path / "g.npz", tmp_path / "back.npz"
    build_gallery(model, file, index)
    built = build_gallery(model, store, index)
    assert str(built) == f"{store}: 3 entries of 2 ids; 0 removed, 0 replaced, 3 added"
    new = write_images(tmp_path / "new", [FIRST[1], "visible/cam2/9/new.png"], seed=1)
    with pytest.raises(BadInput, match=r"g\.lance has visible/cam1/7/a.png and 0 more .*`replace`"):
        build_gallery(model, store, new)
    for gallery in (file, store):
        built = build_gallery(model, gallery, new, replace=True, remove=("*/cam3/*",))
        assert str(built).endswith("3 entries of 3 ids; 1 removed, 1 replaced, 1 added")
    build_gallery(model, back, store)
    for name, column in vars(Gallery.load(file)).items():
        np.testing.assert_array_equal(getattr(Gallery.load(back), name), column)
        np.testing.assert_array_equal(getattr(gallery_of(store, model), name), column)
    for given in ((other, store, new), (other, tmp_path / "another.npz", store)):
        with pytest.raises(BadInput, match=r"g\.lance was made by another network"):
            build_gallery(*given)
    assert not (tmp_path / "another.npz").exists()


def test_who_adds_at_the_same_time_waits_and_nothing_is_lost(model, index, tmp_path, monkeypatch):
    """The first one embeds until the second one says that it waits."""
    path, holds, waits = tmp_path / "g.npz", threading.Event(), threading.Event()
    Gallery.load(index).save(path)
    folders = [write_images(tmp_path / name, [f"visible/cam1/{name}/a.png"]) for name in "xy"]

    def read(file):
        holds.set()
        assert waits.wait(60), "nobody waited"
        return read_bytes(file)

    class Heard(logging.Handler):
        def emit(self, record):
            assert record.getMessage().startswith(f"{path} is in use by process {os.getpid()} on ")
            waits.set()

    monkeypatch.setattr("cmnas_tf.serving.build_gallery.read_bytes", read)
    monkeypatch.setattr(logging.getLogger("cmnas_tf.files"), "handlers", [Heard()])
    monkeypatch.setattr(logging.getLogger("cmnas_tf.files"), "level", logging.INFO)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(build_gallery, model, path, folders[0])
        assert holds.wait(60), "nobody began"
        second = build_gallery(model, path, folders[1])
    assert [first.result().added, second.added] == [1, 1]
    names = [f"visible/cam1/{name}/a.png" for name in "xy"]
    assert sorted(Gallery.load(path).names) == sorted([*FIRST, *names])


def test_a_pipe_and_a_file_beyond_measure(model, tmp_path, caplog):
    folder = write_images(tmp_path / "new", ["visible/cam1/1/a.png"])
    os.mkfifo(folder / "visible/cam1/1/z.jpg")
    with caplog.at_level("INFO", "cmnas_tf"):
        build_gallery(model, tmp_path / "g.npz", folder)
    assert "visible/cam1/1/z.jpg: left out; a pipe or a device" in caplog.messages
    with (folder / "visible/cam1/1/b.png").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BadInput, match=r"b\.png has 1,099,511,627,776 bytes, and at most"):
        build_gallery(model, tmp_path / "g.npz", folder, replace=True)


@pytest.mark.slow
def test_what_is_refused_leaves_the_file_as_it_was(model, other, index, tmp_path):
    content = index.read_bytes()
    broken = write_images(tmp_path / "broken", ["visible/cam1/1/a.png", "visible/cam1/1/b.png"])
    (broken / "visible/cam1/1/b.png").write_bytes(b"no image")
    deep = tmp_path / "deep"
    (deep / "visible/cam1/1").mkdir(parents=True)
    Image.fromarray(np.zeros((32, 16), np.uint16)).save(deep / "visible/cam1/1/a.png")
    json = index.with_suffix(".json")
    for given, message in (
        ((model, index, broken), r"1/b.png cannot be embedded: An image must be a whole"),
        ((model, index, deep), r"16 bits a colour.* number 0\. Correct it, or take"),
        ((model, index, None, False, ("nobody",)), "'nobody' is no entry"),
        ((other, index, broken), "was made by another network.*`build_gallery`"),
        ((model, index), "Nothing was to be changed: give add=FOLDER"),
        ((model, json, broken), r"gallery='.*g\.json' must be a file name that ends"),
    ):
        with pytest.raises(BadInput, match=message):
            build_gallery(*given)
    assert index.read_bytes() == content
    assert sorted(file.name for file in index.parent.iterdir()) == [".g.npz.lock", "first", "g.npz"]


@pytest.mark.slow
def test_a_model_identifies_from_a_file_and_from_a_folder(model, other, index, tmp_path):
    """Each image of the gallery finds itself first, and, with its camera left out, another one.

    Frozen, and computing requests together: the answers do not depend on either.
    """
    gallery = Gallery.load(index)
    files = [(index.parent / "first" / name).read_bytes() for name in FIRST]
    for given, form in (
        (index, ServedForm()),
        (index.parent / "first", ServedForm(frozen=True, batch_images=4)),
    ):
        folder = export_saved_model(model, tmp_path / "models", form=form, gallery=given)
        identify = tf.saved_model.load(str(folder)).signatures["identify"]
        for k, cameras in ((3, ["", "", ""]), (1, ["3", "1", "1"])):
            answer = identify(
                image_bytes=tf.constant(files),
                modality=tf.constant(gallery.modalities),
                camera=tf.constant(cameras),
                k=tf.constant([k] * 3),
            )
            wanted = gallery.search(gallery.embeddings, k, cameras)
            assert answer["ids"].numpy().astype(str).tolist() == wanted.ids.tolist()
            assert answer["cameras"].numpy().astype(str).tolist() == wanted.cameras.tolist()
            np.testing.assert_allclose(answer["scores"], wanted.scores, rtol=0, atol=1e-5)
    for given in (index, gallery):
        with pytest.raises(BadInput, match="made by another network"):
            export_saved_model(other, tmp_path / "models", gallery=given)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["1", "2"]
