import numpy as np
import pytest

from cmnas_tf.data.synthetic_people import (
    Pattern,
    draw_person,
    garment_materials,
    people_materials,
)
from cmnas_tf.data.synthetic_plan import SyntheticPeople


def luminance(materials):
    red, green, blue = materials[:, :3].T
    return 0.299 * red + 0.587 * green + 0.114 * blue


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("count", [4, 6, 64])
def test_infrared_follows_brightness_as_far_as_asked(count, correlation):
    for seed in range(5):
        materials = garment_materials(
            SyntheticPeople(materials=count, reflectance_correlation=correlation, seed=seed)
        )
        assert materials.shape == (count, 4)
        assert materials.min() >= 0 and materials.max() <= 1
        measured = np.corrcoef(luminance(materials), materials[:, 3])[0, 1]
        assert measured == pytest.approx(correlation, abs=1e-9)


def test_colour_names_nobody():
    """Ten people share every material, and no person has one that is not in the common table."""
    settings = SyntheticPeople(materials=6)
    first_garment = len(people_materials(settings)) - 6
    wearers = np.zeros(6, int)
    for pid in range(1, 101):
        person = draw_person(settings, pid)
        assert 0 <= person.skin < 3 <= person.hair < first_garment
        worn = {
            *(person.upper.first, person.upper.second, person.lower.first, person.lower.second),
            *(person.shoes, person.accessories),
        }
        wearers[[row - first_garment for row in worn]] += 1
    assert wearers.min() >= 10


def test_both_modalities_can_tell_the_two_materials_of_a_pattern_apart():
    for seed in range(3):
        settings = SyntheticPeople(seed=seed)
        materials = people_materials(settings)
        bright, infrared = luminance(materials), materials[:, 3]
        for pid in range(1, 60):
            person = draw_person(settings, pid)
            for pattern in person.upper, person.lower:
                assert abs(bright[pattern.first] - bright[pattern.second]) > 0.199
                assert abs(infrared[pattern.first] - infrared[pattern.second]) > 0.199


def test_a_person_depends_on_the_seed_and_the_pid_alone():
    person = draw_person(SyntheticPeople(), 7)
    elsewhere = SyntheticPeople(
        dataset="regdb",
        train_identities=9,
        test_identities=9,
        images_per_camera=2,
        image_height=256,
        image_width=128,
        difficulty=1.0,
    )
    assert draw_person(elsewhere, 7) == person
    assert draw_person(SyntheticPeople(), 8) != person
    assert draw_person(SyntheticPeople(seed=1), 7) != person


@pytest.mark.parametrize(
    ("kind", "second"),
    [
        ("plain", [False, False, False, False]),
        ("hoops", [True, False, True, False]),
        ("stripes", [True, True, False, False]),
        ("diagonals", [True, False, False, True]),
        ("checks", [False, True, True, False]),
        ("dots", [False, False, True, True]),
        ("yoke", [True, True, False, True]),
        ("panel", [True, True, True, True]),
        ("logo", [False, False, True, False]),
    ],
)
def test_where_a_pattern_has_its_second_material(kind, second):
    """Four points (along, around), in periods: (0.2, 0), (0.7, 0), (1.3, 0.45), (0.7, 0.45).

    Share 0.4. Hoops: along modulo 1 below 0.4. Stripes, centred on the front: around within 0.2.
    Diagonals: the sum modulo 1, that is 0.2, 0.7, 0.75, 0.15, below 0.4. Checks: exactly one of the
    two modulo 1 below 0.4. Dots: 0.58, 0.54, 0.21, 0.21 from the middle of the cell, radius 0.36.
    Yoke: along below 1.1. Panel: around within 0.6. Logo: that, and along within 0.4 of 1.3.
    """
    along, around = 0.1 * np.array([(0.2, 0.0), (0.7, 0.0), (1.3, 0.45), (0.7, 0.45)]).T
    worn = Pattern(kind, first=3, second=5, period=0.1, share=0.4).at(along, around)
    np.testing.assert_array_equal(worn, np.where(second, 5, 3))
