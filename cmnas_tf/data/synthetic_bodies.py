"""How a person stands in space: parts, each a solid about an axis with a surface of materials.

Lengths are in statures (body heights). In the frame of the body x points to the person's left, y
up and z forward; the origin is on the floor. Proportions are our choice.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cmnas_tf.data.synthetic_people import Pattern, Person

_RISE = 0.05  # of the waistband above the hips
_HEAD_WIDTH = 0.39  # half of it, over the height of the head

Point = tuple[float, float, float]
# (distance from the start, angle from the front; radians, left is positive) -> rows of
# ``people_materials``, uint8.
Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Part(NamedTuple):
    """A piece of a body or of what it wears."""

    start: Point  # upper end of the axis
    end: Point  # lower end
    girth: tuple[float, ...]  # half widths (along x) at evenly spaced points from start to end
    surface: Surface
    depth: float = 1.0  # half depth (along z) over half width
    rounded: bool = True  # whether the ends are round
    # Lifts the part towards the camera when it is decided what hides what, so that clothes hide
    # limbs that swing through them.
    over: float = 0.0


class Pose(NamedTuple):
    """How a person walks, in radians."""

    phase: float  # of the step
    stride: float  # how far the thighs swing


def body_parts(person: Person, pose: Pose) -> list[Part]:
    """All parts of ``person`` in ``pose``, in the frame of the body, in no particular order."""
    return [
        *_legs(person, pose),
        *_trunk(person),
        *_arms(person, pose),
        *_head(person),
        *_bag(person),
    ]


def _shoulder_height(person: Person) -> float:
    return 1 - person.head - 0.025


def _made_of(material: int) -> Surface:
    return lambda along, angle: np.full(along.shape, material, np.uint8)


def _clothed(pattern: Pattern, radius: float, begins: float = 0.0) -> Surface:
    """A garment of ``radius`` on a part whose start lies ``begins`` below the garment's own top."""
    return lambda along, angle: pattern.at(along + begins, angle * radius)


def _limb(
    pattern: Pattern, radius: float, covered: float, skin: int, begins: float = 0.0
) -> Surface:
    """A limb with a garment down to ``covered`` and bare below."""
    if pattern.kind in ("panel", "logo"):  # on the chest only
        pattern = dataclasses.replace(pattern, kind="plain")
    clothed = _clothed(pattern, radius, begins)

    def surface(along: np.ndarray, angle: np.ndarray) -> np.ndarray:
        return np.where(along + begins < covered, clothed(along, angle), np.uint8(skin))

    return surface


def _swung(start: Point, length: float, swing: float, splay: float = 0.0) -> Point:
    """Where a limb ends that hangs from ``start``, swung forward and splayed to the left."""
    x, y, z = start
    hanging = length * math.cos(splay)
    return (
        x + length * math.sin(splay),
        y - hanging * math.cos(swing),
        z + hanging * math.sin(swing),
    )


def _legs(person: Person, pose: Pose) -> list[Part]:
    thigh, shin = 0.5 * person.legs, 0.5 * person.legs - 0.035
    skirt = person.lower_kind == "skirt"
    covered = 0.0 if skirt else person.lower_length * (_RISE + thigh + shin)
    loose = 0.02 * person.flare if covered > thigh else 0.0
    top, knee_girth = 0.054 * person.build, 0.036 * person.build + loose
    ankle_girth = 0.024 * person.build + loose
    parts = []
    for side in (-1, 1):
        swing = side * pose.stride * math.sin(pose.phase)
        bend = 0.1 + pose.stride * max(0.0, -side * math.cos(pose.phase))
        hip = (side * (person.hips - 0.9 * top), person.legs, 0.0)
        knee = _swung(hip, thigh, swing)
        ankle = _swung(knee, shin, swing - bend)
        toes = (ankle[0], ankle[1] - 0.012, ankle[2] + 0.085)
        thigh_surface = _limb(person.lower, top, covered, person.skin, begins=_RISE)
        shin_surface = _limb(person.lower, top, covered, person.skin, begins=_RISE + thigh)
        parts += [
            Part(hip, knee, (top, knee_girth), thigh_surface, over=-0.1),
            Part(knee, ankle, (knee_girth, ankle_girth), shin_surface, over=-0.1),
            Part(ankle, toes, (0.026, 0.022), _made_of(person.shoes), over=-0.1),
        ]
    return parts


def _trunk(person: Person) -> list[Part]:
    top, hips, shoulders = _shoulder_height(person), person.legs, person.shoulders
    chest, belly = (shoulders + person.waist) / 2, (person.waist + person.hips) / 2
    girth = (
        *(0.45 * shoulders, 0.97 * shoulders, shoulders, chest, chest),
        *(person.waist, person.waist, belly, person.hips, person.hips),
    )
    start, end, depth = (0, top, 0), (0, hips - 0.02, 0), 0.55 + 0.15 * person.build
    trunk = Part(start, end, girth, _trunk_surface(person), depth, rounded=False, over=0.11)
    return [trunk, *_below_the_hips(person)]


def _trunk_surface(person: Person) -> Surface:
    """Upper garment down to its hem, lower garment from there, and the straps of a bag."""
    length, shoulders = _shoulder_height(person) - person.legs, person.shoulders
    upper = _clothed(person.upper, shoulders)
    lower = _clothed(person.lower, shoulders, begins=_RISE - length)

    def surface(along: np.ndarray, angle: np.ndarray) -> np.ndarray:
        in_upper = along < length + person.hem
        materials = np.where(in_upper, upper(along, angle), lower(along, angle))
        if person.bag == "backpack":
            strap = (np.abs(np.abs(angle) - 0.75) < 0.2) & (along < 0.55 * length)
        elif person.bag == "shoulder bag":
            towards_bag = np.sin(angle) * person.bag_side * shoulders
            strap = np.abs(along - 0.4 * length - 1.4 * towards_bag) < 0.02
        else:
            return materials
        return np.where(strap, np.uint8(person.accessories), materials)

    return surface


def _below_the_hips(person: Person) -> list[Part]:
    """The skirt, and what hangs down of a coat."""
    hips, girth, parts = person.legs, person.hips, []

    def hang(length: float, widths: tuple[float, float], surface: Surface, over: float) -> None:
        start, end = (0, hips, 0), (0, hips - length, 0)
        parts.append(Part(start, end, widths, surface, depth=0.85, rounded=False, over=over))

    if person.lower_kind == "skirt":
        widths = girth, girth * (1.05 + 0.5 * person.flare)
        skirt = _clothed(person.lower, person.shoulders, begins=_RISE)
        hang(person.lower_length * person.legs, widths, skirt, over=0.12)
    if person.hem > 0:
        begins = _shoulder_height(person) - hips
        coat = _clothed(person.upper, person.shoulders, begins)
        hang(person.hem, (1.06 * girth, 1.25 * girth), coat, over=0.13)
    return parts


def _arms(person: Person, pose: Pose) -> list[Part]:
    upper_arm, forearm, build = 0.165, 0.14, person.build
    covered = person.sleeve * (upper_arm + forearm)
    sleeved = _limb(person.upper, 0.035, covered, person.skin)
    cuffed = _limb(person.upper, 0.035, covered, person.skin, begins=upper_arm)
    top = _shoulder_height(person) - 0.042
    parts = []
    for side in (-1, 1):
        swing = -0.8 * side * pose.stride * math.sin(pose.phase)
        shoulder = (side * (person.shoulders - 0.018 * build), top, 0.0)
        elbow = _swung(shoulder, upper_arm, swing, side * 0.14)
        wrist = _swung(elbow, forearm, swing + 0.35, side * 0.05)
        hand = _swung(wrist, 0.03, swing + 0.35)
        parts += [
            Part(shoulder, elbow, (0.034 * build, 0.03 * build), sleeved, over=0.14),
            Part(elbow, wrist, (0.03 * build, 0.023 * build), cuffed, over=0.14),
            Part(wrist, hand, (0.02, 0.02), _made_of(person.skin), over=0.14),
        ]
    return parts


def _head(person: Person) -> list[Part]:
    shoulders, width = _shoulder_height(person), _HEAD_WIDTH * person.head
    crown, chin = (0, 1 - width, 0.01), (0, 1 - person.head + 0.8 * width, 0.015)
    neck = (0.048, 0.058) if person.scarf else (0.033, 0.038)
    around_neck = _made_of(person.accessories if person.scarf else person.skin)
    return [
        Part((0, shoulders + 0.012, 0), (0, shoulders - 0.015, 0), neck, around_neck, over=0.15),
        Part(crown, chin, (width, 0.8 * width), _head_surface(person), depth=1.15, over=0.16),
        *_hair_and_hat(person),
    ]


def _head_surface(person: Person) -> Surface:
    """Face with eyes, hair or headwear on top; the axis starts half a head's width below it."""
    size = person.head
    temples = 1.2 if person.hair_style == "long" else 1.75

    def surface(along: np.ndarray, angle: np.ndarray) -> np.ndarray:
        eyes = (np.abs(np.abs(angle) - 0.45) < 0.15) & (np.abs(along - 0.12 * size) < 0.03 * size)
        hairy = (along <= 0) | ((np.abs(angle) > temples) & (along < 0.25 * size))
        dark = eyes | (hairy & (person.hair_style != "bald"))
        materials = np.where(dark, np.uint8(person.hair), np.uint8(person.skin))
        covered = (along <= 0.06 * size) & (person.headwear != "none")
        return np.where(covered, np.uint8(person.accessories), materials)

    return surface


def _hair_and_hat(person: Person) -> list[Part]:
    """Hair that leaves the head, and the brim of a hat."""
    size, width = person.head, _HEAD_WIDTH * person.head
    hair, hat = _made_of(person.hair), _made_of(person.accessories)
    parts: list[Part] = []
    if person.hair_style == "long":
        middle = 1 - size / 2
        end = (0, middle - person.hair_length, -0.06)
        girth = (width, 1.1 * width)
        parts.append(Part((0, middle, -0.03), end, girth, hair, depth=0.6, over=0.09))
    if person.hair_style == "bun":
        top, bottom = (0, 1 - 0.1 * size, -width), (0, 1 - 0.2 * size, -width)
        parts.append(Part(top, bottom, (0.45 * width,), hair, over=0.12))
    if person.headwear == "hat":
        upper, lower = (0, 1 - 0.4 * size, 0.01), (0, 1 - 0.48 * size, 0.01)
        parts.append(Part(upper, lower, (1.7 * width,), hat, rounded=False, over=0.17))
    return parts


def _bag(person: Person) -> list[Part]:
    hips, material = person.legs, _made_of(person.accessories)
    if person.bag == "backpack":
        z = -0.75 * person.shoulders - 0.045
        top, bottom = (0.0, _shoulder_height(person) - 0.02, z), (0.0, hips + 0.1, z)
        girth = (0.06, 0.08, 0.085, 0.085, 0.08)
        return [Part(top, bottom, girth, material, depth=0.65, over=0.02)]
    if person.bag == "shoulder bag":
        x = person.bag_side * (person.hips + 0.035)
        top, bottom = (x, hips + 0.03, 0.0), (x, hips - 0.1, 0.0)
        return [Part(top, bottom, (0.03,), material, depth=2.6, rounded=False, over=0.15)]
    return []
