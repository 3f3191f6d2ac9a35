"""Batches: which pixels they hold, that they depend on (seed, step) alone, and unreadable files."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image as Picture

from cmnas_tf.data import pipeline
from cmnas_tf.data.augment import augment, normalize
from cmnas_tf.data.augmentation import Augmentation
from cmnas_tf.data.decode import decode
from cmnas_tf.data.index import Image, Images
from cmnas_tf.data.pipeline import (
    ImageSource,
    Share,
    naming_unreadable,
    training_batches,
)
from cmnas_tf.data.sampling import IdentitySampler, Sampling
from cmnas_tf.data.verify import unreadable
from cmnas_tf.errors import BadInput

CACHES = ("none", "encoded", "decoded")
AUGMENTATION = Augmentation(pad=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six identities, three images of each in each modality, 20 x 12 pixels, in three formats."""
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for modality, channels in (("visible", (3,)), ("infrared", ())):
        (root / modality).mkdir()
        for pid in range(6):
            for number, suffix in enumerate(("png", "jpg", "bmp")):
                pixels = random.integers(0, 256, (20, 12, *channels), np.uint8)
                Picture.fromarray(pixels).save(root / modality / f"{pid}_{number}.{suffix}")
    return root


@pytest.fixture(scope="module")
def images(folder):
    files = sorted(folder.glob("*/*"))
    return Images.of(
        Image(f"{file.parent.name}/{file.name}", int(file.name[0]), 1, file.parent.name)
        for file in files
    )


@pytest.fixture
def source(folder, images):
    return ImageSource(images, folder, 16, 8)


@pytest.fixture
def sampler(images):
    return IdentitySampler(images, np.arange(6), Sampling(4, 2), seed=3, stream=0)


def batches(source, sampler, start=0, stop=4, share=Share(), by=augment):  # noqa: B008
    """The batches as NumPy arrays: a list of ``({modality: images}, labels)``; ``by`` takes the
    place of ``augment``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "augment", by)
        made = training_batches(source, sampler, AUGMENTATION, start, stop, share)
    return [
        ({name: part.numpy() for name, part in batch.images.items()}, batch.labels.numpy())
        for batch in made
    ]


def same(one, other):
    np.testing.assert_array_equal(one[1], other[1])
    assert list(one[0]) == list(other[0])
    for modality in one[0]:
        np.testing.assert_array_equal(one[0][modality], other[0][modality])


def unchanged(augmentation, images, seed, first_row, rows, modality):
    """In the place of ``augment``: lets the decoded pixels through."""
    return tf.cast(images, tf.float32)


def test_a_batch_holds_the_drawn_images_decoded(source, sampler):
    """Row by row the file that the sampler drew, in the order of the labels, visible first."""
    found = batches(source, sampler, by=unchanged)
    assert len(found) == 4
    for step, (parts, labels) in enumerate(found):
        drawn = sampler.draw(step)
        np.testing.assert_array_equal(labels, drawn.labels)
        assert list(parts) == ["visible", "infrared"]
        for modality, pixels in parts.items():
            paths = source.images.paths[drawn.rows[modality]]
            files = [(source.root / path).read_bytes() for path in paths]
            np.testing.assert_array_equal(pixels, [decode(data, 16, 8) for data in files])


def seed_only(augmentation, images, seed, first_row, rows, modality):
    """In the place of ``augment``: two uniforms drawn from its seed tell which one it was."""
    return tf.random.stateless_uniform([images.shape[0], 2], seed)[:1] + tf.zeros(
        [images.shape[0], 1]
    )


def test_what_reaches_the_network_is_augmented(source, sampler):
    """The augmentation of the decoded pixels under the batch's seed, in each step and modality."""
    seeds = set()

    def noting(augmentation, images, seed, first_row, rows, modality):
        tf.py_function(lambda one: seeds.add(tuple(one.numpy().tolist())), [seed], [])
        return augment(augmentation, images, seed, first_row, rows, modality)

    plain = batches(source, sampler, by=unchanged)
    found = batches(source, sampler, by=noting)
    assert len(seeds) == 8
    for step in range(4):
        for modality in ("visible", "infrared"):
            pixels = plain[step][0][modality].astype(np.uint8)
            candidates = {
                seed: augment(AUGMENTATION, pixels, tf.constant(seed), 0, 8, modality)
                for seed in seeds
            }
            augmented = found[step][0][modality]
            (seed,) = (s for s, one in candidates.items() if np.allclose(augmented, one, atol=1e-5))
            seeds.remove(seed)


@pytest.mark.parametrize("start", [1, 3])
def test_batches_do_not_depend_on_where_the_run_starts(source, sampler, start):
    whole = batches(source, sampler)
    for one, other in zip(batches(source, sampler, start=start), whole[start:], strict=True):
        same(one, other)


def test_every_seed_stream_step_and_modality_is_augmented_differently(source, images):
    seeds = set()
    for seed, stream in ((3, 0), (4, 0), (3, 1), (2**31, 0)):
        sampler = IdentitySampler(images, np.arange(6), Sampling(4, 2), seed, stream)
        for parts, _ in batches(source, sampler, by=seed_only):
            seeds |= {tuple(part[0].tolist()) for part in parts.values()}
    assert len(seeds) == 4 * 4 * 2


@pytest.mark.slow
def test_shares_put_together_are_the_whole(source, sampler):
    """Over four devices with a pipeline each, over the devices of one host (in turn), and over the
    two devices of the second of two hosts."""
    whole = batches(source, sampler, stop=2)
    single = [batches(source, sampler, stop=2, share=Share(first, 1, 4)) for first in range(4)]
    parts = [[shares[step] for shares in single] for step in range(2)]
    in_turn = batches(source, sampler, stop=2, share=Share(0, 4, 4))
    second_host = batches(source, sampler, stop=2, share=Share(2, 2, 4))
    for step in range(2):
        same(joined(parts[step]), whole[step])
    for one, other in zip(in_turn, parts[0] + parts[1], strict=True):
        same(one, other)
    for one, other in zip(second_host, parts[0][2:] + parts[1][2:], strict=True):
        same(one, other)


def joined(parts):
    names = parts[0][0]
    images = {name: np.concatenate([part[0][name] for part in parts]) for name in names}
    return images, np.concatenate([part[1] for part in parts])


@pytest.mark.parametrize("cache", ["encoded", "decoded"])
def test_caches_change_nothing(source, sampler, cache):
    cached = dataclasses.replace(source, cache=cache)
    for one, other in zip(batches(cached, sampler), batches(source, sampler), strict=True):
        same(one, other)


def test_shapes_are_static(source, sampler):
    """A step is compiled once: no batch may come with an unknown shape."""
    spec = training_batches(source, sampler, AUGMENTATION, 0, 1).element_spec
    assert spec.labels.shape == [8]
    assert {name: part.shape.as_list() for name, part in spec.images.items()} == {
        "visible": [8, 16, 8, 3],
        "infrared": [8, 16, 8, 3],
    }


def test_test_batches_are_all_images_in_order(source):
    """36 images in batches of 10: the last one has 6."""
    found = list(pipeline.test_batches(source, 10))
    assert [len(batch) for batch in found] == [10, 10, 10, 6]
    expected = [
        normalize(decode((source.root / path).read_bytes(), 16, 8)) for path in source.images.paths
    ]
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-6)


def test_no_batches_are_autotuned(source, sampler):
    """An iterator that is may sleep through its end."""
    training = training_batches(source, sampler, AUGMENTATION, 0, 1)
    for dataset in (training, pipeline.test_batches(source, 10)):
        assert dataset.options().autotune.enabled is False


@pytest.fixture
def spoil(source, tmp_path):
    """Gives the source with the files of ``{path: content}`` in the place of the good ones (None:
    the file is missing)."""

    def spoiled(contents):
        for path in source.images.paths:
            content = contents.get(path, (source.root / path).read_bytes())
            if content is not None:
                (tmp_path / path).parent.mkdir(exist_ok=True)
                (tmp_path / path).write_bytes(content)
        return dataclasses.replace(source, root=tmp_path)

    return spoiled


def half(source, path):
    data = (source.root / path).read_bytes()
    return data[: len(data) // 2]


BROKEN = {
    "truncated JPEG": ("visible/2_1.jpg", half, "not a complete JPEG, PNG or BMP image"),
    "truncated PNG": ("infrared/5_0.png", half, "not a complete JPEG, PNG or BMP image"),
    "empty BMP": ("visible/0_2.bmp", lambda *_: b"", "not a complete JPEG, PNG or BMP image"),
    "missing": ("infrared/3_1.jpg", lambda *_: None, "the file does not exist"),
}


@pytest.mark.parametrize(("path", "content", "why"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_read_is_named(source, sampler, spoil, path, content, why):
    """In whatever step it comes up; no batch is made from anything else instead."""
    spoiled = spoil({path: content(source, path)})
    with (
        pytest.raises(BadInput, match=rf"{path}: {why}.*`skip_unreadable`") as raised,
        naming_unreadable(spoiled),
    ):
        batches(spoiled, sampler, stop=40)
    assert "more like it" not in str(raised.value)


@pytest.mark.parametrize("cache", CACHES)
def test_batches_before_an_unreadable_file_are_made(source, sampler, spoil, cache):
    """Unless the files are cached, which reads them all first."""
    step, path = next(
        (step, source.images.paths[row])
        for step in range(2, 40)
        for row in sampler.draw(step).rows["visible"]
        if all(row not in sampler.draw(before).rows["visible"] for before in range(step))
    )
    spoiled = dataclasses.replace(spoil({path: b"no image"}), cache=cache)
    made = []
    with pytest.raises(BadInput, match=path), naming_unreadable(spoiled):
        for batch in training_batches(spoiled, sampler, AUGMENTATION, 0, 40):
            made.append(batch)
    assert len(made) == (0 if cache == "decoded" else step)


def test_unreadable_finds_every_bad_file_and_says_why(source, spoil):
    contents = {path: content(source, path) for path, content, _ in BROKEN.values()}
    spoiled = spoil(contents)
    found = unreadable(spoiled.images, spoiled.root)
    assert set(found) == set(contents)
    assert all(found[path].startswith(why) for path, _, why in BROKEN.values())
    assert unreadable(source.images, source.root) == {}


def test_a_folder_in_the_place_of_a_file_is_named(source, sampler, spoil):
    path = "visible/2_1.jpg"
    spoiled = spoil({path: None})
    (spoiled.root / path).mkdir()
    assert set(unreadable(spoiled.images, spoiled.root)) == {path}
    with pytest.raises(BadInput, match=path), naming_unreadable(spoiled):
        batches(spoiled, sampler, stop=40)


def test_several_unreadable_files_are_counted(source, spoil):
    spoiled = spoil({path: b"" for path in source.images.paths[:3]})
    with (
        pytest.raises(BadInput, match=rf"{source.images.paths[0]}: .*, and 2 more like it"),
        naming_unreadable(spoiled),
    ):
        list(pipeline.test_batches(spoiled, 10))


def test_errors_of_another_kind_are_let_through(source):
    """Every file is good, so the failure is a fault of the program and is not hidden."""
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="of its own"),
        naming_unreadable(source),
    ):
        raise tf.errors.InvalidArgumentError(None, None, "of its own")
