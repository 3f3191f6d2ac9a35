"""Augmentation of a batch against a plain loop over its images, and its distribution."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cmnas_tf.data import augment as module
from cmnas_tf.data.augment import MEAN, STD, erase, normalize
from cmnas_tf.data.augmentation import Augmentation

ATTEMPTS = 10
NOTHING = Augmentation(pad=0, flip_probability=0.0, erase_probability=0.0)


def pixels(n, height=16, width=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def augment(augmentation, images, seed=(0, 0), first_row=0, rows=None, modality="visible"):
    rows = rows or len(images)
    seed = tf.constant(seed)
    return module.augment(augmentation, images, seed, first_row, rows, modality).numpy()


def normalized(image):
    return (image / 255.0 - np.array(MEAN)) / np.array(STD)


def augmented_plainly(image, uniform, of_colours, of_mixture, of_jitter, augmentation):
    """One image [H, W, 3] from its row's uniforms [44], [2], [3] and [3]: pad, crop, flip, jitter
    and mix colours, normalise, erase."""
    height, width, _ = image.shape
    pad = augmentation.pad
    top, left = (int(u * (2 * pad + 1)) for u in uniform[:2])
    image = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    image = image[top : top + height, left : left + width]
    if uniform[2] < augmentation.flip_probability:
        image = image[:, ::-1]
    if augmentation.color_jitter:
        image = jittered_plainly(image, of_jitter, augmentation.color_jitter)
    image = normalized(mixed_plainly(image, of_colours, of_mixture, augmentation))
    if uniform[3] < augmentation.erase_probability:
        box = box_plainly(uniform[4:].reshape(ATTEMPTS, 4), height, width)
        if box is not None:
            top, left, h, w = box
            image[top : top + h, left : left + w] = 0.0
    return image


def jittered_plainly(image, uniform, strength):
    """Away from or towards the mean grey, lighter or darker, away from or towards its own grey."""
    contrast, brightness, saturation = 1 - strength + 2 * strength * uniform
    luminance = np.array([0.299, 0.587, 0.114])
    mean = (image @ luminance).mean()
    image = brightness * (contrast * image + (1 - contrast) * mean)
    grey = (image @ luminance)[..., None]
    return np.clip(saturation * image + (1 - saturation) * grey, 0, 255)


def mixed_plainly(image, of_colours, of_mixture, augmentation):
    """R, G or B three times, or the luminance or a mixture three times, or the image."""
    kind, channel = of_colours
    exchange = augmentation.channel_exchange_probability
    if kind < exchange:
        return image[..., [int(3 * channel)] * 3]
    if kind < exchange + augmentation.greyscale_probability:
        return np.repeat(image @ np.array([[0.299], [0.587], [0.114]]), 3, axis=2)
    if (
        kind
        < exchange + augmentation.greyscale_probability + augmentation.channel_mixing_probability
    ):
        parts = scipy.stats.beta(0.5, 0.5).ppf(of_mixture)
        return np.repeat((image @ (parts / parts.sum()))[..., None], 3, axis=2)
    return image


def box_plainly(attempts, height, width, area=(0.02, 0.4), aspect=0.3):
    """The first rectangle out of [attempts, 4] uniforms that is smaller than the image, or None."""
    for of_area, of_aspect, of_top, of_left in attempts:
        share = area[0] + (area[1] - area[0]) * of_area
        ratio = aspect + (1 / aspect - aspect) * of_aspect  # height / width
        h = round((share * height * width * ratio) ** 0.5)
        w = round((share * height * width / ratio) ** 0.5)
        if h < height and w < width:
            return int(of_top * (height - h + 1)), int(of_left * (width - w + 1)), h, w
    return None


@given(
    st.builds(
        Augmentation,
        pad=st.integers(0, 5),
        flip_probability=st.sampled_from([0.0, 0.5, 1.0]),
        erase_probability=st.sampled_from([0.0, 0.5, 1.0]),
        channel_exchange_probability=st.sampled_from([0.0, 0.4, 0.6]),
        greyscale_probability=st.sampled_from([0.0, 0.2]),
        channel_mixing_probability=st.sampled_from([0.0, 0.2]),
        color_jitter=st.sampled_from([0.0, 0.3, 1.0]),
    ),
    st.sampled_from([(16, 8), (9, 14)]),
    st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
)
@settings(max_examples=40, deadline=None)
def test_equals_a_plain_loop_that_takes_the_same_uniforms(augmentation, size, seed):
    images = pixels(6, *size)
    uniform = tf.random.stateless_uniform([6, 4 + 4 * ATTEMPTS], tf.constant(seed))
    streams = {1: 2, 2: 3, 3: 3}
    draws = zip(
        images,
        np.float64(uniform),
        *(
            np.float64(tf.random.stateless_uniform([6, n], tf.random.fold_in(seed, stream)))
            for stream, n in streams.items()
        ),
        strict=True,
    )
    expected = [augmented_plainly(*draw, augmentation) for draw in draws]
    found = augment(augmentation, images, seed)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_batch_cut_into_shares_is_augmented_as_in_one_piece(cuts, seed):
    images = pixels(sum(cuts))
    augmentation = Augmentation(
        3,
        channel_exchange_probability=0.3,
        greyscale_probability=0.2,
        channel_mixing_probability=0.4,
        color_jitter=0.5,
    )
    whole = augment(augmentation, images, (seed, 5))
    ends = np.cumsum(cuts)
    parts = [
        augment(augmentation, images[end - n : end], (seed, 5), end - n, len(images))
        for n, end in zip(cuts, ends.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_seeds_and_rows_are_augmented_differently():
    """The same picture four times, under four seeds: sixteen results."""
    images = np.repeat(pixels(1), 4, axis=0)
    results = [
        augment(Augmentation(pad=3), images, seed) for seed in [(0, 0), (0, 1), (1, 0), (1, 1)]
    ]
    assert len({row.tobytes() for result in results for row in result}) == 16


def test_with_everything_off_an_image_is_only_normalised():
    images = pixels(3)
    np.testing.assert_array_equal(augment(NOTHING, images), normalize(images))


def test_normalize():
    """0 -> -mean / std and 255 -> (1 - mean) / std: for red -0.485 / 0.229 and 0.515 / 0.229."""
    np.testing.assert_allclose(normalize(np.zeros((1, 3), np.uint8))[0, 0], -2.1179039, rtol=1e-6)
    np.testing.assert_allclose(
        normalize(np.full((1, 3), 255, np.uint8))[0, 0], 2.2489083, rtol=1e-6
    )
    images = pixels(2)
    np.testing.assert_allclose(normalize(images), normalized(images), atol=1e-6)


def test_padding_is_black():
    """White images cropped anywhere: whole rows and columns of the margin, (0 - mean) / std."""
    found = augment(Augmentation(4, 0.0, 0.0), np.full((200, 8, 8, 3), 255, np.uint8))
    black, white = normalized(np.zeros(3)), normalized(np.full(3, 255.0))
    is_white = np.isclose(found, white, atol=1e-5).all(-1)
    assert np.isclose(found[~is_white], black, atol=1e-5).all()
    heights, widths = is_white.any(2).sum(1), is_white.any(1).sum(1)
    assert (is_white.sum((1, 2)) == heights * widths).all()
    assert set(heights.tolist()) == set(widths.tolist()) == set(range(4, 9))


def test_crops_and_flips_are_drawn_evenly():
    """81 offsets over 20,000 images: 247 each (sd 15.6), and 10,000 flips (sd 71)."""
    image = np.zeros((9, 9, 3), np.uint8)
    image[4, 4], image[4, 3] = 255, 128
    found = augment(Augmentation(4, 0.5, 0.0), np.repeat(image[None], 20_000, axis=0))
    white = np.isclose(found, normalized(np.full(3, 255.0)), atol=1e-5).all(-1).reshape(20_000, 81)
    times = white.sum(0)
    assert times.sum() == 20_000
    assert (abs(times - 20_000 / 81) < 5 * 15.6).all()
    grey = np.isclose(found, normalized(np.full(3, 128.0)), atol=1e-5).all(-1).reshape(20_000, 81)
    both = white.argmax(1)[grey.any(1)], grey.argmax(1)[grey.any(1)]
    right = int((both[1] == both[0] + 1).sum())
    assert abs(right - len(both[0]) / 2) < 5 * 71


COLOURS = np.array([50, 100, 200], np.uint8)
# 0.299 * 50 + 0.587 * 100 + 0.114 * 200
LUMINANCE = 96.45


def colours_of(augmentation, count, seed=(0, 0)):
    """Which of R, G, B, luminance (0..3) each of ``count`` images of one colour has in the place of
    all three channels; 4 where they are what they were. Fails if there is anything else."""
    images = np.broadcast_to(COLOURS, (count, 2, 2, 3))
    found = augment(augmentation, images, seed)
    assert (found == found[:, :1, :1]).all()
    mixtures = np.vstack([np.repeat([[*COLOURS, LUMINANCE]], 3, axis=0).T, COLOURS])
    same = np.isclose(found[:, None, 0, 0], normalized(mixtures), atol=1e-5).all(-1)
    assert (same.sum(1) == 1).all()
    return same.argmax(1)


@pytest.mark.parametrize("exchange, greyscale", [(0.6, 0.3), (0.75, 0.125), (1.0, 0.0), (0.0, 1.0)])
def test_colours_are_mixed_as_often_as_asked(exchange, greyscale):
    """Of 20,000 images each channel takes the place of all three in a third of ``exchange``."""
    mixing = Augmentation(0, 0.0, 0.0, exchange, greyscale)
    times = np.bincount(colours_of(mixing, 20_000), minlength=5)
    expected = np.array([*[exchange / 3] * 3, greyscale, 1 - exchange - greyscale])
    assert (abs(times - 20_000 * expected) <= 5 * np.sqrt(20_000 * expected * (1 - expected))).all()


def test_colours_are_mixed_whatever_else_is_drawn():
    """Half of 20,000 images is mixed, half is erased, half is flipped: each of the eight
    combinations is 2,500 of them (sd 46.8). What is erased leaves a whole row of an image."""
    image = np.broadcast_to(COLOURS, (16, 8, 3)).copy()
    image[:, 0] = 0
    found = augment(Augmentation(0, 0.5, 0.5, 0.5), np.repeat(image[None], 20_000, axis=0))
    erased = (found == 0.0).any((1, 2, 3))
    colours = found * np.array(STD) + np.array(MEAN)
    black = np.isclose(colours, 0.0, atol=1e-5).all(-1)  # [n, H, W]
    grey = np.isclose(colours, colours[..., :1], atol=1e-5).all(-1) & ~black
    flipped, mixed = black[..., -1].any(1), grey.any((1, 2))
    times = np.bincount(4 * mixed + 2 * erased + flipped, minlength=8)
    assert (abs(times - 2500) < 5 * 46.8).all()


def test_seeds_and_rows_are_mixed_differently():
    mixing = Augmentation(0, 0.0, 0.0, 0.75, 0.125)
    drawn = [colours_of(mixing, 200, seed).tolist() for seed in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    assert all(len(set(colours)) == 5 for colours in drawn)
    agree = [np.mean(np.equal(a, b)) for a in drawn for b in drawn if a is not b]
    assert max(agree) < 0.4  # 0.22 for independent ones
    assert drawn[0] == colours_of(mixing, 200).tolist()


def test_mixing_colours_changes_nothing_else():
    """Infrared images stay bit for bit what they are without it, and so do visible ones that are
    grey before: crop, flip and erasing are drawn as before."""
    images, without = pixels(50), Augmentation(3)
    mixing = Augmentation(3, channel_exchange_probability=1.0)
    expected = augment(without, images)
    assert (augment(mixing, images) != expected).any((1, 2, 3)).all()
    np.testing.assert_array_equal(augment(mixing, images, modality="infrared"), expected)
    grey = np.repeat(images[..., :1], 3, axis=3)
    np.testing.assert_array_equal(augment(mixing, grey), augment(without, grey))


def test_jitter_by_hand():
    """Two pixels of 0 and 100, all channels alike: the mean is 50. With the uniforms 1, 0.5 and 0
    and a strength of 0.5 contrast is 1.5, brightness 1, saturation 0.5: -25 and 125, cut at 0."""
    images = np.repeat(np.array([0, 100], np.uint8).reshape(1, 1, 2, 1), 3, axis=3)
    found = module._jitter(0.5, tf.constant(images), tf.constant([[1.0, 0.5, 0.0]]))
    np.testing.assert_allclose(found[0, 0, :, 0], [0, 125], rtol=1e-6)
    grey = tf.constant(COLOURS.reshape(1, 1, 1, 3))
    found = module._jitter(1.0, grey, tf.constant([[0.5, 0.5, 0.0]]))  # no saturation
    np.testing.assert_allclose(found[0, 0, 0], [LUMINANCE] * 3, rtol=1e-6)


def test_mixtures_by_hand():
    """sin^2 of 30, 45 and 90 degrees: 1/4, 1/2 and 1, of which the sum is 7/4."""
    found = module._mixture(tf.constant([[1 / 3, 0.5, 1.0]]))
    np.testing.assert_allclose(found, [[1 / 7, 2 / 7, 4 / 7]], rtol=1e-6)


def test_mixtures_are_drawn_as_often_as_asked_and_are_many():
    """0.4 of 20,000 images: 8,000 (sd 69); a channel weighs a third on average."""
    images = np.broadcast_to(np.array([0, 0, 255], np.uint8), (20_000, 2, 2, 3))
    found = augment(Augmentation(0, 0.0, 0.0, channel_mixing_probability=0.4), images)
    blue = (found * np.array(STD) + np.array(MEAN))[:, 0, 0]
    mixed = np.isclose(blue, blue[:, :1], atol=1e-5).all(1)
    assert abs(int(mixed.sum()) - 8000) < 5 * 69
    weights = blue[mixed, 0]
    assert abs(weights.mean() - 1 / 3) < 5 * weights.std() / len(weights) ** 0.5
    assert len(np.unique(weights.round(4))) > 3000


def test_new_colours_change_nothing_else():
    """Crop, flip, erasing and what Ye et al. do are drawn as before; infrared images stay."""
    images, before = pixels(50), Augmentation(3, channel_exchange_probability=0.5)
    changes = {"channel_mixing_probability": 0.5, "color_jitter": 0.4}
    both = Augmentation(3, channel_exchange_probability=0.5, **changes)
    np.testing.assert_array_equal(
        augment(both, images, modality="infrared"), augment(before, images, modality="infrared")
    )
    mixing = Augmentation(3, channel_exchange_probability=0.5, channel_mixing_probability=0.5)
    same = (augment(mixing, images) == augment(before, images)).all((1, 2, 3))
    assert 10 < same.sum() < 40  # those that are exchanged
    erased = [(augment(a, images) == 0.0).all(-1) for a in (both, before)]
    np.testing.assert_array_equal(*erased)


@pytest.fixture(scope="module")
def erased():
    """Which pixels of 20,000 images 32 x 16 are erased when every image is to be."""
    images = np.full((5000, 32, 16, 3), 255, np.uint8)
    always = Augmentation(0, 0.0, 1.0)
    return np.concatenate([augment(always, images, (7, n))[..., 0] == 0.0 for n in range(4)])


def sides(erased):
    """Top, left, height, width of each rectangle; fails if what is erased is none."""
    rows, columns = erased.any(2), erased.any(1)
    h, w = rows.sum(1), columns.sum(1)
    top, left = rows.argmax(1), columns.argmax(1)
    assert (erased.sum((1, 2)) == h * w).all()
    assert rows[np.arange(len(rows)), top + h - 1].all()
    assert columns[np.arange(len(rows)), left + w - 1].all()
    return top, left, h, w


def test_erased_rectangles_have_the_recipes_sizes(erased):
    """Mean area, height and width against 20,000 rectangles of the recipe drawn by NumPy; the
    difference of two such means has a standard deviation of sqrt(2 / 20,000) of a single one's."""
    random = np.random.default_rng(0)
    drawn = [box_plainly(random.random((ATTEMPTS, 4)), 32, 16) for _ in range(20_000)]
    h, w = np.array(drawn)[:, 2:].T
    _, _, found_h, found_w = sides(erased)
    for found, expected in ((found_h * found_w, h * w), (found_h, h), (found_w, w)):
        assert abs(found.mean() - expected.mean()) < 5 * expected.std() * (2 / 20_000) ** 0.5
    assert (found_h * found_w).min() >= 0.02 * 512 * 0.7  # sides are rounded to pixels
    assert (found_h * found_w).max() <= 0.4 * 512 * 1.1


def test_erased_rectangles_have_the_recipes_mean_area():
    """In an image so large that rounding does not matter, and with an aspect that always fits
    (1), the erased share is uniform in 0.02..0.4: its mean is 0.21, its sd 0.1097."""
    always = Augmentation(0, 0.0, 1.0, erase_aspect=1.0)
    found = augment(always, np.full((2000, 64, 64, 3), 255, np.uint8))[..., 0] == 0.0
    assert abs(found.mean() - 0.21) < 5 * 0.1097 / 2000**0.5


def test_erased_rectangles_lie_anywhere(erased):
    """Their place is symmetric and even: top / (H - h) has the mean 1/2 in both axes, and pixels
    that mirror each other are erased equally often."""
    top, left, h, w = sides(erased)
    for start, free in ((top, 32 - h), (left, 16 - w)):
        share = start / free
        assert abs(share.mean() - 0.5) < 5 * share.std() / 20_000**0.5
        ends = (share == 0).sum(), (share == 1).sum()
        assert abs(int(ends[0]) - int(ends[1])) < 5 * sum(ends) ** 0.5
    often = erased.mean(0)
    for mirrored in (often[::-1], often[:, ::-1]):
        assert abs(often - mirrored).max() < 5 * (2 * 0.25 / 20_000) ** 0.5


def test_erasing_happens_as_often_as_asked():
    """0.3 of 20,000 images: 6,000 (sd 65); erased is the mean colour, 0."""
    sometimes = Augmentation(0, 0.0, 0.3)
    found = augment(sometimes, np.full((20_000, 16, 8, 3), 255, np.uint8))
    assert abs(int((found == 0.0).any((1, 2, 3)).sum()) - 6000) < 5 * 65
    assert ((found == 0.0).all(-1) == (found == 0.0).any(-1)).all()


def test_nothing_is_erased_where_no_rectangle_fits():
    """A rectangle of the image's own area is as high or as wide as the image."""
    impossible = Augmentation(0, 0.0, 1.0, erase_area=(1.0, 1.0))
    images = pixels(50)
    np.testing.assert_array_equal(augment(impossible, images), normalize(images))


def test_erase_by_hand():
    """Rows 1 and 2 of column 0; nothing."""
    images = np.ones((2, 4, 3, 3), np.float32)
    found = erase(tf.constant(images), tf.constant([[1, 0, 2, 1], [0, 0, 0, 0]])).numpy()
    images[0, 1:3, 0] = 0
    np.testing.assert_array_equal(found, images)
