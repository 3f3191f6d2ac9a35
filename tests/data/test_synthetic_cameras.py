import dataclasses
import math

import cv2
import numpy as np
import pytest

from cmnas_tf.data.synthetic_bodies import Part
from cmnas_tf.data.synthetic_cameras import (
    Scene,
    View,
    draw_camera,
    draw_image,
    paint,
    photograph,
)
from cmnas_tf.data.synthetic_plan import SyntheticPeople

SETTINGS = SyntheticPeople()
EASY = SyntheticPeople(difficulty=0.0)


def test_visible_cameras_have_three_channels_and_infrared_ones_one():
    for camera, modality in SETTINGS.cameras.items():
        image = draw_image(SETTINGS, 1, camera, 1)
        assert image.dtype == np.uint8
        assert image.shape == ((64, 32, 3) if modality == "visible" else (64, 32))


def test_an_image_is_a_function_of_seed_pid_camera_and_frame():
    image = draw_image(SETTINGS, 3, 1, 2)
    np.testing.assert_array_equal(draw_image(SETTINGS, 3, 1, 2), image)
    others = [
        draw_image(SETTINGS, 4, 1, 2),
        draw_image(SETTINGS, 3, 2, 2),
        draw_image(SETTINGS, 3, 1, 3),
        draw_image(SyntheticPeople(seed=1), 3, 1, 2),
    ]
    assert not any(np.array_equal(other, image) for other in others)


def test_every_camera_has_a_place_of_its_own():
    places = [draw_camera(SETTINGS, camera).place for camera in SETTINGS.cameras]
    for i, first in enumerate(places):
        assert all(np.mean(first != second) > 0.2 for second in places[i + 1 :])


@pytest.mark.parametrize("camera", [1, 3])
def test_a_larger_image_shows_the_same_picture(camera):
    """256 x 128 averaged down to 64 x 32 differs from 64 x 32 by edges and noise only."""
    fine = dataclasses.replace(EASY, image_height=256, image_width=128)
    for pid in range(1, 4):
        small = draw_image(EASY, pid, camera, 1).astype(float)
        large = draw_image(fine, pid, camera, 1)
        large = cv2.resize(large, (32, 64), interpolation=cv2.INTER_AREA).astype(float)
        other = draw_image(EASY, pid + 1, camera, 1).astype(float)
        assert np.abs(small - large).mean() < 6 < np.abs(small - other).mean()


@pytest.mark.parametrize("camera", [1, 3])
def test_a_sensor_sees_only_what_is_its_own(camera):
    """A flat scene, left half of one garment material, right half of another: the two halves are to
    each other as the colours of the materials, or as their infrared reflectances."""
    seen_by = dataclasses.replace(draw_camera(EASY, camera), exposure=0.7, spot=(0.5, 0.5))
    left, right = 8, 10
    materials = np.full((128, 64), left, np.uint8)
    materials[:, 32:] = right
    scene = Scene(materials, np.zeros((128, 64), np.float32))
    image = photograph(EASY, scene, seen_by, np.random.default_rng(0)) / 255
    ratio = image[:, 18:].mean(axis=(0, 1)) / image[:, :14].mean(axis=(0, 1))
    if camera == 1:
        expected = seen_by.colours[right] / seen_by.colours[left]
    else:
        expected = seen_by.infrared[right] / seen_by.infrared[left]
    np.testing.assert_allclose(ratio, expected, rtol=0.05)


def front_and_back(along, angle):
    return np.where(np.abs(angle) < math.pi / 2, 1, 2).astype(np.uint8)


@pytest.mark.parametrize(
    ("heading", "left", "right"),
    [(0.0, 1, 1), (math.pi, 2, 2), (math.pi / 2, 2, 1), (-math.pi / 2, 1, 2)],
)
def test_a_part_shows_the_side_that_it_turns_to_the_camera(heading, left, right):
    """An upright cylinder, front 1 and back 2, half a stature of 40 pixels high, half width 4:
    rows 30 - 0.75 x 40 = 0 .. 20, columns 16 - 4 .. 16 + 4."""
    scene = Scene(np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.float32))
    part = Part((0, 0.75, 0), (0, 0.25, 0), (0.1,), front_and_back, rounded=False)
    paint(scene, part, View(heading, column=16, floor=30, scale=40, tilt=0.0))
    rows, columns = np.nonzero(scene.materials)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 20, 13, 19)
    assert scene.materials[10, 14] == left
    assert scene.materials[10, 18] == right
    np.testing.assert_allclose(scene.slant[10, 13:20], np.arange(-3, 4) / 4, atol=1e-6)


def test_the_pattern_of_a_foreshortened_limb_is_shortened_with_it():
    """A limb of one stature that points 60 degrees away shows half its length, with all of its
    surface: the half way mark is in the middle of what is seen."""
    scene = Scene(np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.float32))

    def halves(along, angle):
        return np.where(along < 0.5, 1, 2).astype(np.uint8)

    end = (0, 0.5, -math.sqrt(0.75))
    paint(scene, Part((0, 1, 0), end, (0.1,), halves, rounded=False), View(0, 32, 60, 40, 0.0))
    column = scene.materials[:, 32]
    assert [int((column == half).sum()) for half in (1, 2)] == [10, 11]
    assert column[29] == 1 and column[30] == 2


def test_a_part_outside_the_image_leaves_it_alone():
    for column, floor in (-100, 20), (200, 20), (16, -100), (16, 300):
        scene = Scene(np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.float32))
        paint(
            scene, Part((0, 1, 0), (0, 0, 0), (0.1,), front_and_back), View(0, column, floor, 30, 0)
        )
        assert not scene.materials.any()


def test_difficulty_makes_images_of_a_person_less_alike():
    spread = []
    for difficulty in 0.0, 0.5, 1.0:
        settings = SyntheticPeople(difficulty=difficulty)
        images = [draw_image(settings, pid, 3, f) for pid in range(1, 6) for f in range(1, 7)]
        spread.append(np.reshape(images, (5, 6, -1)).std(axis=1).mean())
    assert spread[0] < spread[1] < spread[2]


def test_brightness_alone_finds_nobody_in_the_other_modality():
    """Nearest mean brightness: chance is 1 in 30 people."""
    pids = range(1, 31)

    def mean(camera):
        levels = np.array([draw_image(SETTINGS, pid, camera, 1).mean() for pid in pids])
        return (levels - levels.mean()) / levels.std()

    nearest = np.abs(mean(3)[:, None] - mean(1)[None]).argmin(axis=1)
    assert np.mean(nearest == np.arange(30)) < 0.2
