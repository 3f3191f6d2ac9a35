"""The two halves of the training images: counts, and that nothing is lost or used twice."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmnas_tf.data.index import Image, Images
from cmnas_tf.data.split import KINDS, split_train
from cmnas_tf.errors import BadInput


def table(visible, infrared):
    """``visible[i]`` and ``infrared[i]`` images of identity i + 1, in sorted order."""
    return Images.of(
        sorted(
            Image(f"{modality}/{pid}/{number:02}.jpg", pid, 1, modality)
            for modality, counts in (("visible", visible), ("infrared", infrared))
            for pid, count in enumerate(counts, start=1)
            for number in range(count)
        )
    )


def count(images, pid, modality):
    return int(((images.pids == pid) & (images.modalities == modality)).sum())


counts = st.lists(st.tuples(st.integers(2, 7), st.integers(2, 7)), min_size=2, max_size=6)


@given(counts, st.sampled_from(KINDS), st.integers(0, 2**40))
def test_the_halves_are_disjoint_and_complete_and_in_order(counts, kind, seed):
    images = table(*zip(*counts, strict=True))
    split = split_train(images, kind, seed)
    weights, architecture = split.weights.paths.tolist(), split.architecture.paths.tolist()
    assert sorted(weights + architecture) == images.paths.tolist()
    assert (weights, architecture) == (sorted(weights), sorted(architecture))
    assert (split.kind, split.seed) == (kind, seed)
    again = split_train(images, kind, seed)
    assert again.weights.paths.tolist() == weights


@given(counts, st.integers(0, 2**40))
def test_within_identity_halves_each_modality_the_odd_image_to_the_weights(counts, seed):
    split = split_train(table(*zip(*counts, strict=True)), "within_identity", seed)
    for pid, of_identity in enumerate(counts, start=1):
        for modality, n in zip(("visible", "infrared"), of_identity, strict=True):
            assert count(split.weights, pid, modality) == (n + 1) // 2
            assert count(split.architecture, pid, modality) == n // 2


@given(counts, st.integers(0, 2**40))
def test_identities_are_kept_apart_the_odd_one_to_the_weights(counts, seed):
    images = table(*zip(*counts, strict=True))
    split = split_train(images, "identities", seed)
    weights, architecture = set(split.weights.pids), set(split.architecture.pids)
    assert not weights & architecture
    assert len(weights) == (len(counts) + 1) // 2
    assert len(architecture) == len(counts) // 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_image_is_for_the_weights_under_half_of_the_seeds(kind):
    """400 seeds, of which about 200 (sd 10) give an image to the weights."""
    images = table([2, 4], [4, 2])
    times = sum(
        np.isin(images.paths, split_train(images, kind, s).weights.paths) for s in range(400)
    )
    assert (abs(times - 200) < 5 * 10).all()


def test_modalities_and_identities_are_halved_independently():
    """Were they not, the same places would be chosen for all; 1 in 2^29 that they are by chance."""
    images = table([2] * 15, [2] * 15)
    split = split_train(images, "within_identity", 0)
    chosen = np.isin(images.paths, split.weights.paths)
    firsts = chosen.reshape(2, 15, 2)[..., 0]
    assert len(set(firsts[0].tolist())) == len(set(firsts[1].tolist())) == 2
    assert (firsts[0] != firsts[1]).any()


def test_a_single_image_cannot_be_halved():
    images = table([2, 2], [2, 1])
    with pytest.raises(BadInput, match=r"Identity 2 .* infrared image.*infrared/2/00.jpg"):
        split_train(images, "within_identity", 0)
    assert len(split_train(images, "identities", 0).architecture.paths) > 0


def test_a_single_identity_cannot_be_halved():
    with pytest.raises(BadInput, match=r"^split=identities needs at least 2 identities; found 1"):
        split_train(table([2], [2]), "identities", 0)


def test_the_file_holds_both_halves(tmp_path):
    split = split_train(table([3, 2], [2, 2]), "within_identity", 7)
    split.save(tmp_path / "split.json")
    assert json.loads((tmp_path / "split.json").read_text()) == {
        "kind": "within_identity",
        "seed": 7,
        "weights": split.weights.paths.tolist(),
        "architecture": split.architecture.paths.tolist(),
    }
