import dataclasses
import math

import numpy as np
import pytest

from cmnas_tf.data.synthetic_bodies import Pose, body_parts
from cmnas_tf.data.synthetic_people import draw_person
from cmnas_tf.data.synthetic_plan import SyntheticPeople

SETTINGS = SyntheticPeople()


def dressed(**changes):
    plain = dict(bag="none", headwear="none", hair_style="short", lower_kind="trousers", hem=0.0)
    return dataclasses.replace(draw_person(SETTINGS, 1), **{**plain, **changes})


def hanging_materials(part, at, angle=0.0):
    return part.surface(np.array([at]), np.array([angle]))[0]


@pytest.mark.parametrize("pid", range(1, 6))
def test_a_standing_body_is_one_stature_high_and_stands_on_the_floor(pid):
    person = dataclasses.replace(draw_person(SETTINGS, pid), headwear="none", hair_style="short")
    parts = body_parts(person, Pose(phase=0.0, stride=0.0))
    tops = [max(p.start[1], p.end[1]) + p.girth[0] * p.rounded for p in parts]
    assert max(tops) == pytest.approx(1.0, abs=0.01)
    assert 0.0 < min(p.end[1] for p in parts) < 0.04


def test_a_limb_keeps_its_length_while_it_swings():
    person = dressed()
    lengths = [
        sorted(math.dist(part.start, part.end) for part in body_parts(person, pose))
        for pose in (Pose(0.0, 0.0), Pose(1.0, 0.5), Pose(4.0, 0.6))
    ]
    np.testing.assert_allclose(lengths[1], lengths[0], atol=1e-12)
    np.testing.assert_allclose(lengths[2], lengths[0], atol=1e-12)


def test_legs_and_arms_swing_against_each_other():
    person = dressed()
    parts = body_parts(person, Pose(phase=math.pi / 2, stride=0.5))
    knees = [p.end for p in parts if p.start[1] == person.legs and p.start[0] != 0]
    elbows = [p.end for p in parts if p.start[1] > 0.7 and p.start[0] != 0]
    left_knee, right_knee = sorted(knees, reverse=True)
    left_elbow, right_elbow = sorted(elbows, reverse=True)
    assert left_knee[2] > 0 > right_knee[2]
    assert left_elbow[2] < 0 < right_elbow[2]


def test_shorts_end_where_the_skin_begins():
    """Legs 0.5: thigh 0.25, shin 0.215, waistband 0.05 above; 40 % of 0.515 = 0.206 from the
    waistband is 0.156 down the thigh."""
    person = dressed(legs=0.5, lower_kind="shorts", lower_length=0.4, skin=1)
    person = dataclasses.replace(person, lower=dataclasses.replace(person.lower, kind="plain"))
    thigh, shin = body_parts(person, Pose(0.0, 0.0))[:2]
    assert hanging_materials(thigh, 0.150) == person.lower.first
    assert hanging_materials(thigh, 0.160) == person.skin
    assert hanging_materials(shin, 0.0) == person.skin


def test_a_logo_is_on_the_chest_and_neither_on_the_back_nor_on_the_sleeves():
    logo = dataclasses.replace(draw_person(SETTINGS, 1).upper, kind="logo", period=0.1, share=0.5)
    person = dressed(upper=logo, sleeve=1.0)
    parts = body_parts(person, Pose(0.0, 0.0))
    trunk = next(p for p in parts if len(p.girth) > 2)
    sleeves = [p for p in parts if p.start[0] != 0 and p.start[1] > 0.7]
    assert hanging_materials(trunk, 0.13) == logo.second
    assert hanging_materials(trunk, 0.13, angle=math.pi) == logo.first
    assert [hanging_materials(sleeve, 0.13) for sleeve in sleeves] == [logo.first] * 2


def test_what_is_worn_adds_parts_of_its_own():
    plain = len(body_parts(dressed(), Pose(0.0, 0.0)))
    for change in (
        {"bag": "backpack"},
        {"bag": "shoulder bag"},
        {"headwear": "hat"},
        {"hair_style": "long"},
        {"hair_style": "bun"},
        {"lower_kind": "skirt"},
        {"hem": 0.2},
    ):
        assert len(body_parts(dressed(**change), Pose(0.0, 0.0))) == plain + 1
