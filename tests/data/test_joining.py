"""Several data sets to train on as one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.data.joining import join_datasets, weighted
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.data.sampling import IdentitySampler, Sampling
from cmnas_tf.data.store import MANIFEST
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import MODALITIES
from tests.pictures import write_pictures


def dataset_of(root, people, layout="own_images", modalities=MODALITIES, names=()):
    """Training images of ``people``, a camera's number each; and one test image."""
    train = Images.of(
        Image(f"{modality}/{pid}.png", pid, camera, modality)
        for pid, camera in people.items()
        for modality in modalities
    )
    test = Images.of([Image("test.png", 99, 1, "visible", "query")])
    return Dataset(layout, Path(root), train, test, names=names)


ones = st.lists(
    st.dictionaries(st.integers(0, 9), st.integers(1, 3), min_size=1), min_size=2, max_size=4
)


@given(ones)
def test_everybody_stays_who_they_are(parts):
    """Equal people and cameras of a data set stay equal, those of others become others."""
    datasets = [dataset_of(f"/data/{n}", people) for n, people in enumerate(parts)]
    joined = join_datasets(datasets)
    assert not len(joined.test)
    rows = [(n, image) for n, dataset in enumerate(datasets) for image in dataset.train]
    assert len(joined.train) == len(rows)
    people, cameras = {}, {}
    for (n, before), after in zip(rows, joined.train, strict=True):
        assert after.path == f"/data/{n}/{before.path}"
        assert (after.modality, after.role) == (before.modality, before.role)
        assert people.setdefault((n, before.pid), after.pid) == after.pid
        assert cameras.setdefault((n, before.camera), after.camera) == after.camera
    assert sorted(people.values()) == list(range(len(people)))
    assert len(set(cameras.values())) == len(cameras)
    for (n, pid), label in people.items():
        assert joined.people([label]) == [f"own_images/{datasets[n].people([pid])[0]}"]


def test_names_are_kept():
    datasets = [
        dataset_of("/a", {0: 1, 1: 1}, names=("ada", "bob")),
        dataset_of("/b", {7: 1}, "regdb"),
    ]
    assert join_datasets(datasets).names == ("own_images/ada", "own_images/bob", "regdb/7")


def test_it_tells_what_it_is(tmp_path):
    one, other = dataset_of(tmp_path / "a", {3: 1}), dataset_of(tmp_path / "b", {5: 2}, "regdb")
    joined = join_datasets([one, replace(other, trial=4)])
    assert (joined.layouts, joined.trial, one.layouts) == ("own_images,regdb", 4, "own_images")
    assert str(joined).startswith(f"own_images,regdb in {tmp_path}, trial 4")


def test_the_fingerprint_is_of_what_is_joined_wherever_it_lies():
    parts = [dataset_of("/a", {3: 1}), dataset_of("/b", {5: 2})]
    known = join_datasets(parts).fingerprint
    moved = [replace(part, root=Path(f"/moved{part.root}")) for part in parts]
    assert join_datasets(moved).fingerprint == known
    others = [parts[::-1], [parts[0], dataset_of("/b", {6: 2})], [*parts, dataset_of("/c", {1: 1})]]
    assert len({known, *(join_datasets(each).fingerprint for each in others)}) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"root": Path("/a/../a")}, "given twice"),
        ({"train": dataset_of("/b", {1: 1}, modalities=["visible"]).train}, "has visible images"),
    ],
)
def test_what_cannot_be_joined(change, said):
    one = dataset_of("/a", {1: 1})
    with pytest.raises(BadInput, match=said):
        join_datasets([one, replace(dataset_of("/b", {1: 1}), **change)])


def test_shards_are_not_joined(tmp_path):
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(BadInput, match="holds shards"):
        join_datasets([dataset_of("/a", {1: 1}), dataset_of(tmp_path, {1: 1})])


@pytest.mark.parametrize("cache", ["none", "encoded", "decoded"])
def test_the_pixels_are_those_of_each(cache, tmp_path):
    """Whose files have the same names."""
    datasets = []
    for name in "ab":
        (tmp_path / name).mkdir()
        source = write_pictures(tmp_path / name, MODALITIES, (8 + ord(name) % 2, 6), 8, 6)
        images = replace(source.images, pids=np.zeros(2, np.int64))
        datasets.append(Dataset("own_images", tmp_path / name, images, images[:0]))
    joined = join_datasets(datasets)
    read = ImageSource(joined.train, joined.root, 8, 6, cache).reader()
    found = [read(row).numpy() for row in range(4)]
    apart = [
        ImageSource(d.train, d.root, 8, 6).reader()(row).numpy() for d in datasets for row in (0, 1)
    ]
    np.testing.assert_array_equal(found, apart)


def shares(sizes, weights, identities, steps=2000):
    """Which part of the people in batches is of each data set."""
    people = [dict.fromkeys(range(size), 1) for size in sizes]
    joined = join_datasets([dataset_of(f"/{n}", each) for n, each in enumerate(people)])
    pids = np.unique(joined.train.pids)
    given = weighted(joined, pids, weights) if weights else None
    sampler = IdentitySampler(joined.train, pids, Sampling(identities, 1), 0, 0, given)
    labels = np.concatenate([sampler.draw(step).labels for step in range(steps)])
    of = np.searchsorted(np.cumsum(sizes), labels, side="right")
    return np.bincount(of, minlength=len(sizes)) / len(labels)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((), (0.1, 0.3, 0.6)),  # as many as each has
        ((1, 1, 1), (1 / 3, 1 / 3, 1 / 3)),
        ((2, 1, 5), (0.25, 0.125, 0.625)),
    ],
)
def test_data_sets_are_drawn_by_their_weights(weights, expected):
    np.testing.assert_allclose(shares((100, 300, 600), weights, 4), expected, atol=0.02)


def test_nobody_is_twice_in_a_batch_whatever_the_weights():
    """First 1/2 of the two; then 1/3 behind one of them (1/4 of 3/4), 6/11 behind another."""
    expected = (1 / 2 + (1 / 3 + 6 / 11) / 2) / 2
    assert abs(shares((2, 6), (1, 1), 2)[0] - expected) < 0.02
    assert shares((2, 6), (1000, 0.001), 8, 1).tolist() == [0.25, 0.75]


@given(ones, st.data())
def test_people_of_a_data_set_share_its_weight(parts, data):
    """Of part of the images, too: whom they leave out, the others of the data set stand for."""
    joined = join_datasets([dataset_of(f"/{n}", people) for n, people in enumerate(parts)])
    of = np.repeat(np.arange(len(parts)), [len(people) for people in parts])
    pids = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=len(of), max_size=len(of))))
    each = st.floats(0.001, 1000)
    weights = data.draw(st.lists(each, min_size=len(parts), max_size=len(parts)))
    found = weighted(joined, pids, tuple(weights))
    assert len(found) == len(pids)
    present = sorted(set(of[pids]))
    total = sum(weights[n] for n in present)
    for n in present:
        alike = found[of[pids] == n]
        np.testing.assert_allclose(alike, weights[n] / total / len(alike), rtol=1e-9)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.5, 3.0)])
def test_weights_that_do_not_fit(weights):
    joined = join_datasets([dataset_of("/a", {1: 1}), dataset_of("/b", {1: 1})])
    said = r"dataset_weights=\(1\.0.* must be for several data sets, one for each; here: 2"
    with pytest.raises(BadInput, match=said):
        weighted(joined, np.arange(2), weights)


def test_a_single_data_set_has_no_weight():
    with pytest.raises(BadInput, match="must be for several data sets, one for each; here: 1"):
        weighted(dataset_of("/a", {1: 1}), np.arange(1), (1.0,))


@pytest.mark.parametrize("weights", [(1.0, 0.0), (-2.0, 1.0), (1.0, 1e4), (1.0, float("nan"))])
def test_weights_that_are_not_allowed(weights):
    with pytest.raises(BadInput, match="dataset_weights="):
        Sampling(dataset_weights=weights)
