"""P x K batches: who is in them, in which order, and that they are a function of (seed, step)."""

import collections

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cmnas_tf.data.index import Image, Images
from cmnas_tf.data.sampling import IdentitySampler, Sampling, steps_per_epoch
from cmnas_tf.errors import BadInput


def table(visible, infrared):
    """``visible[i]`` and ``infrared[i]`` images of identity 10 * (i + 1), mixed up."""
    rows = [
        Image(f"{modality}/{pid}/{number}", pid, 1, modality)
        for modality, counts in (("infrared", infrared), ("visible", visible))
        for pid, count in enumerate(counts, start=1)
        for number in range(count)
    ]
    rows = [row._replace(pid=10 * row.pid) for row in rows]
    return Images.of(rows[place] for place in np.random.default_rng(1).permutation(len(rows)))


def sampler_of(images, p=2, k=2, seed=0, stream=0, pids=None):
    pids = np.unique(images.pids) if pids is None else pids
    return IdentitySampler(images, pids, Sampling(p, k), seed, stream)


def drawn(batch):
    """Everything a batch says, comparable."""
    return batch.labels.tolist(), {name: rows.tolist() for name, rows in batch.rows.items()}


counts = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=2, max_size=7)


@given(counts, st.integers(2, 7), st.integers(1, 4), st.integers(0, 2**40), st.integers(0, 9**6))
def test_the_order_contract(counts, p, k, seed, step):
    """P identities, none twice; K rows of each next to each other; each modality in that order."""
    assume(p <= len(counts))
    images = table(*zip(*counts, strict=True))
    batch = sampler_of(images, p, k, seed).draw(step)
    assert batch.labels.dtype == np.int32
    of_identity = batch.labels.reshape(p, k)
    assert (of_identity == of_identity[:, :1]).all()
    assert len(set(of_identity[:, 0].tolist())) == p
    assert list(batch.rows) == ["visible", "infrared"]
    for modality, rows in batch.rows.items():
        assert (images.modalities[rows] == modality).all()
        assert images.pids[rows].tolist() == (10 * (batch.labels + 1)).tolist()


@given(st.integers(0, 1000), st.integers(0, 3), st.permutations(range(6)))
def test_a_batch_is_a_pure_function_of_seed_stream_and_step(seed, stream, order):
    """Steps asked for in any order, of one sampler or of new ones, give the same batches."""
    images = table([3] * 6, [2] * 6)
    one = sampler_of(images, 3, 2, seed, stream)
    in_order = {step: drawn(one.draw(step)) for step in order}
    assert in_order == {
        step: drawn(sampler_of(images, 3, 2, seed, stream).draw(step)) for step in range(6)
    }


def test_seeds_streams_and_steps_draw_differently():
    images = table([4] * 20, [4] * 20)
    batches = [
        drawn(sampler_of(images, 8, 4, seed, stream).draw(step))
        for seed in range(4)
        for stream in range(3)
        for step in range(5)
    ]
    assert all(batches.count(batch) == 1 for batch in batches)


def test_labels_count_all_identities_though_the_images_hold_only_some():
    """Of the identities 5, 10, 15, 20, 30 the images hold 10 and 20: labels 1 and 3."""
    batch = sampler_of(table([2, 2], [2, 2]), pids=np.array([30, 5, 20, 10, 15])).draw(0)
    assert sorted(set(batch.labels.tolist())) == [1, 3]


def test_identities_and_images_are_drawn_evenly():
    """Over 3,000 steps of 2 out of 5 identities each comes 1,200 times (sd 27), and each of an
    identity's 3 visible images 1,200 times (K = 3; sd about 33)."""
    sampler = sampler_of(table([3] * 5, [1] * 5), 2, 3)
    labels, rows = collections.Counter(), collections.Counter()
    for step in range(3000):
        batch = sampler.draw(step)
        labels.update(batch.labels[::3].tolist())
        rows.update(batch.rows["visible"].tolist())
    assert len(labels) == 5
    assert all(abs(n - 1200) < 5 * 27 for n in labels.values())
    assert len(rows) == 15
    assert all(abs(n - 1200) < 5 * 33 for n in rows.values())


def test_images_are_drawn_with_replacement():
    """One image for K = 4 rows is taken four times; two images make all 16 sequences."""
    sampler = sampler_of(table([1, 2], [1, 1]), 2, 4)
    sequences = set()
    for step in range(300):
        batch = sampler.draw(step)
        for label, rows in zip(batch.labels[::4], batch.rows["visible"].reshape(2, 4), strict=True):
            if label == 0:
                assert len(set(rows.tolist())) == 1
            else:
                sequences.add(tuple(rows.tolist()))
    assert len(sequences) == 16


@pytest.mark.parametrize(
    ("visible", "infrared", "p", "k", "steps"),
    [
        ([4, 4], [3, 3], 2, 2, 3),  # 8 / 4 = 2, exactly: one more all the same
        ([4, 3], [3, 3], 2, 2, 2),  # 7 / 4 = 1.75
        ([1, 1], [5, 6], 2, 2, 3),  # the larger modality counts: 11 / 4 = 2.75
        ([1, 1], [1, 1], 2, 2, 1),
    ],
)
def test_steps_per_epoch(visible, infrared, p, k, steps):
    assert sampler_of(table(visible, infrared), p, k).steps_per_epoch == steps
    assert steps_per_epoch(max(sum(visible), sum(infrared)), Sampling(p, k).rows) == steps


def test_steps_per_epoch_of_sysu_mm01():
    """22,258 visible training images (11,909 infrared) in batches of 16 x 4: 347 + 1 steps."""
    rows = [Image("", i % 395, 1, "visible") for i in range(22258)]
    rows += [Image("", i % 395, 3, "infrared") for i in range(11909)]
    assert sampler_of(Images.of(rows), 16, 4).steps_per_epoch == 348


def test_one_modality_alone_is_drawn_from():
    images = table([2, 2, 2], [])
    assert list(sampler_of(images).draw(0).rows) == ["visible"]


def test_fewer_identities_than_p_are_refused():
    images = table([2, 2, 2], [2, 2, 2])
    sampler_of(images, p=3)
    with pytest.raises(BadInput, match=r"^identities_per_batch=4, .* only 3 identities"):
        sampler_of(images, p=4)


def test_an_identity_without_a_modality_is_named():
    with pytest.raises(BadInput, match=r"Identity 20 has no infrared image"):
        sampler_of(table([1, 1], [1, 0]))
