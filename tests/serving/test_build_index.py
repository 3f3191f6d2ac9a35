"""A gallery file grows and shrinks without embedding the rest anew; a model searches in it."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cmnas_tf import settings
from cmnas_tf.architecture import Architecture
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from cmnas_tf.runs import checkpoints
from cmnas_tf.serving import gallery_images
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.training.trained import load_trained
from export.build_index import build_index
from export.export_saved_model import export

SPECIFICATION = Specification(
    Architecture.separate_until("layer1", "resnet18"), 5, 32, 16, width_factor=1 / 16
)


def write_run(folder, specification=SPECIFICATION, seed=0):
    random, tensors = np.random.default_rng(seed), {}
    for name, variable in specification.build().get_weight_paths().items():
        tensors[f"average/{name}"] = variable.numpy()
        if variable.shape.rank == 1:
            tensors[f"average/{name}"] = np.exp(
                0.2 * random.standard_normal(variable.shape, np.float32)
            )
    path = folder / "checkpoints" / "step-00000001.safetensors"
    checkpoints.write(path, 1, tensors, {"specification": specification.to_json()})
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


def write_images(folder, names, seed=0):
    random = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (32, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def options(run, index, add="", replace=False, remove=()):
    return settings.BuildIndex(
        settings.RunFolder(str(run)),
        change=settings.GalleryChange(str(index), str(add), replace, remove),
        progress=settings.Progress(False),
    )


FIRST = ["infrared/cam3/7/a.png", "visible/cam1/7/a.png", "visible/cam1/8/a.png"]


@pytest.fixture(scope="module")
def index(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    said = build_index(options(run, folder / "g.npz", write_images(folder / "first", FIRST)))
    assert said.endswith("3 entries of 2 ids; 0 removed, 0 replaced, 3 added")
    return folder / "g.npz"


def test_embeddings_are_the_networks(run, index):
    trained, gallery = load_trained("", str(run)), Gallery.load(index)
    assert gallery.names.tolist() == FIRST
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for name, found, modality in zip(
        gallery.names, gallery.embeddings, gallery.modalities, strict=True
    ):
        pixels = np.asarray(Image.open(index.parent / "first" / name))
        image = ((pixels / 255 - mean) / std).astype(np.float32)[None]
        wanted = trained.network.embed(image, modality).embedding.numpy()[0]
        np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), rtol=0, atol=1e-5)


def test_only_what_is_added_is_embedded(run, index, tmp_path, monkeypatch):
    before, path = Gallery.load(index), tmp_path / "g.npz"
    before.save(path)
    embedded = []
    embed = gallery_images._embed

    def noted(function, files):
        embedded.extend(file.name for file in files)
        return embed(function, files)

    monkeypatch.setattr(gallery_images, "_embed", noted)
    new = write_images(tmp_path / "new", [FIRST[1], "visible/cam2/9/new.png"], seed=1)
    with pytest.raises(BadInput, match=r"has visible/cam1/7/a.png .*--replace"):
        build_index(options(run, path, new))
    assert embedded == []
    said = build_index(options(run, path, new, replace=True, remove=("*/cam3/*",)))
    assert said.endswith("3 entries of 3 ids; 1 removed, 1 replaced, 1 added")
    assert embedded == ["a.png", "new.png"]
    after = Gallery.load(path)
    assert after.names.tolist() == [*FIRST[1:], "visible/cam2/9/new.png"]
    np.testing.assert_array_equal(after.embeddings[1], before.embeddings[2])
    assert np.abs(after.embeddings[0] - before.embeddings[1]).max() > 0.01
    build_index(options(run, path, remove=("visible/cam2/9/new.png",)))
    assert Gallery.load(path).names.tolist() == FIRST[1:]


@pytest.mark.slow
def test_what_is_refused_leaves_the_file_as_it_was(run, index, tmp_path):
    content = index.read_bytes()
    broken = write_images(tmp_path / "broken", ["visible/cam1/1/a.png", "visible/cam1/1/b.png"])
    (broken / "visible/cam1/1/b.png").write_bytes(b"no image")
    other = write_run(tmp_path / "other", seed=1)
    for given, message in (
        (options(run, index, broken), r"1/b.png cannot be embedded: An image must be a whole"),
        (options(run, index, remove=("nobody",)), "'nobody' is no entry"),
        (options(other, index, broken), "was made by another network"),
        (options(run, index), "Nothing was to be changed"),
        (options(run, index.with_suffix(".json"), broken), "must be a file name that ends"),
    ):
        with pytest.raises(BadInput, match=message):
            build_index(given)
    assert index.read_bytes() == content
    assert sorted(file.name for file in index.parent.iterdir()) == ["first", "g.npz"]


@pytest.mark.slow
def test_a_model_identifies_from_a_file_and_from_a_folder(run, index, tmp_path):
    """Each image of the gallery finds itself first, and, with its camera left out, another one.

    Frozen, and computing requests together: the answers do not depend on either.
    """
    gallery = Gallery.load(index)
    files = [(index.parent / "first" / name).read_bytes() for name in FIRST]
    for given, form in (
        (index, settings.ServedForm()),
        (index.parent / "first", settings.ServedForm(frozen=True, batch_images=4)),
    ):
        folder = export(
            settings.Export(
                settings.RunFolder(str(run)),
                target=settings.ExportTarget(str(tmp_path / "models")),
                form=form,
                searched=settings.SearchedGallery(str(given)),
            )
        )
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
    with pytest.raises(BadInput, match="made by another network"):
        other = write_run(tmp_path / "other", seed=1)
        export(
            settings.Export(
                settings.RunFolder(str(other)),
                target=settings.ExportTarget(str(tmp_path / "models")),
                searched=settings.SearchedGallery(str(index)),
            )
        )
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["1", "2"]
