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
from cmnas_tf.data.synthetic_plan import InfraredCameras, SyntheticPeople

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


def infrared(people=EASY, **options):
    return dataclasses.replace(people, infrared=InfraredCameras(**options))


@pytest.mark.parametrize(
    "options",
    [
        {"infrared_sees": "heat"},
        {"infrared_sees": "colours"},
        {"infrared_detail": 0.3},
        {"infrared_noise": 4.0},
        {"infrared_elevation": 40.0},
        {"infrared_turn": 90.0},
    ],
)
def test_what_separates_infrared_cameras_leaves_the_visible_ones_alone(options):
    changed = infrared(SETTINGS, **options)
    for camera, modality in SETTINGS.cameras.items():
        one, other = (draw_image(people, 2, camera, 1) for people in (SETTINGS, changed))
        assert np.array_equal(one, other) == (modality == "visible")


def test_of_heat_people_are_the_warmer_part_but_in_a_third_of_the_images():
    """A bare head against a wall; the air is warmer than both now and then."""
    people = infrared(infrared_sees="heat", infrared_noise=0.0)
    warmer = []
    for pid in range(1, 91):
        image = draw_image(people, pid, 3, 1).astype(float)
        assert image.shape == (64, 32)
        warmer.append(image[6:12, 14:18].mean() > image[:, :3].mean())
    assert 0.5 < np.mean(warmer) < 0.8


def test_two_kinds_of_cameras_that_see_colours_differ_in_their_place_alone():
    image = draw_image(infrared(infrared_sees="colours"), 1, 3, 1)
    assert image.shape == (64, 32, 3)
    assert np.ptp(image.astype(int), axis=2).max() > 30


def test_coarse_images_lack_what_is_fine_and_noisy_ones_have_more_of_it():
    def fine(people):
        image = draw_image(people, 1, 3, 1).astype(float)
        return np.abs(np.diff(image, axis=0)).mean()

    plain = fine(infrared())
    assert fine(infrared(infrared_detail=0.25)) < 0.7 * plain
    assert fine(infrared(infrared_noise=6.0)) > 1.5 * plain
    assert fine(infrared(infrared_detail=1.0)) == plain


def test_from_above_people_look_shorter_and_their_feet_go_down():
    level, above = (
        View(heading=0, column=16, floor=60, scale=50, tilt=tilt, shortening=shortening)
        for tilt, shortening in ((0, 1), (math.sin(math.radians(60)), 0.5))
    )
    head, feet, toes = (0, 1, 0), (0, 0, 0), (0, 0, 0.1)
    assert level.pixel(head) == (10, 16) and above.pixel(head) == pytest.approx((35, 16))
    assert level.pixel(feet) == above.pixel(feet) == (60, 16)
    assert level.pixel(toes) == (60, 16)
    assert above.pixel(toes) == pytest.approx((60 + 5 * math.sin(math.radians(60)), 16))


def test_a_data_set_without_infrared_cameras_takes_none_of_it():
    with pytest.raises(ValueError, match=r"dataset=market1501 has no infrared cameras .*=heat"):
        infrared(SyntheticPeople(dataset="market1501"), infrared_sees="heat")
