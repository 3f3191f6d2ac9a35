"""Who the synthetic people are: materials that everybody shares, bodies and clothes of one's own.

A garment material has a colour (what a visible camera sees) and a reflectance of its own in the
near infrared (what an infrared camera sees), which follows its brightness only in part. All people
wear the same few materials, so colour names nobody: a person is the build of the body, the cut of
the clothes and the pattern on them, and those both kinds of camera see. All figures are our choice.
"""

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cmnas_tf.data.synthetic_plan import SyntheticPeople

T = TypeVar("T")

# Materials: red, green, blue, infrared, as an image shows them under neutral light, 0..1.
# Skin of any tone is bright in the near infrared, where melanin hardly absorbs.
_SKIN = ((0.36, 0.25, 0.19, 0.56), (0.63, 0.46, 0.37, 0.62), (0.86, 0.69, 0.59, 0.68))
_HAIR = (
    (0.07, 0.06, 0.06, 0.16),
    (0.26, 0.17, 0.12, 0.28),
    (0.74, 0.60, 0.38, 0.46),
    (0.58, 0.58, 0.57, 0.40),
)
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # Rec. 601
_GARMENT_LEVELS = (0.08, 0.88)  # darkest and brightest garment, luminance and infrared alike
_CONTRAST = 0.2  # the least, in luminance and in infrared, between the two materials of a pattern


@functools.lru_cache(maxsize=8)
def garment_materials(people: SyntheticPeople) -> np.ndarray:
    """The palette that everybody wears.

    Returns:
      [materials, 4] float64: red, green, blue, infrared reflectance, 0..1. The correlation of
      luminance with infrared is ``people.reflectance_correlation``, exactly.
    """
    count, tied = people.materials, people.reflectance_correlation
    rng = people.stream("garment materials")

    def well_apart() -> np.ndarray:
        levels = (rng.permutation(count) + rng.uniform(0.2, 0.8, count)) / count
        return (levels - levels.mean()) / levels.std()

    def to_levels(x: np.ndarray) -> np.ndarray:
        return np.interp(x, (x.min(), x.max()), _GARMENT_LEVELS)

    while True:  # a draw whose patterns would vanish in one modality is drawn again
        luminance, free = well_apart(), well_apart()
        free -= (free * luminance).mean() * luminance  # what luminance does not explain
        infrared = to_levels(tied * luminance + math.sqrt(1 - tied**2) * free / free.std())
        luminance = to_levels(luminance)
        if len(_contrasting(luminance, infrared)) >= count:
            break

    hues = (rng.permutation(count) + rng.uniform(size=count)) / count * 2 * math.pi
    chroma = np.cos(hues[:, None] - np.array([0, 2, 4]) * math.pi / 3)  # [materials, rgb]
    chroma -= chroma @ _LUMINANCE[:, None]
    room = np.where(chroma > 0, 1 - luminance[:, None], -luminance[:, None]) / chroma
    saturation = rng.uniform(0.3, 0.9, count) * room.min(axis=1)
    colours = luminance[:, None] + saturation[:, None] * chroma
    return np.column_stack([colours, infrared])


def _contrasting(luminance: np.ndarray, infrared: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of materials, both ways round, that one can tell apart in both modalities."""
    return [
        (first, second)
        for first, second in itertools.permutations(range(len(luminance)), 2)
        if abs(luminance[first] - luminance[second]) >= _CONTRAST
        and abs(infrared[first] - infrared[second]) >= _CONTRAST
    ]


def people_materials(people: SyntheticPeople) -> np.ndarray:
    """All that people are made of: skin, hair, garments; [3 + 4 + materials, 4] as above."""
    return np.concatenate([_SKIN, _HAIR, garment_materials(people)])


# Where a pattern has its second material, by ``down`` and ``across``, in periods from the top and
# from the front centre; ``share`` is the part of a period that has it.
_SECOND: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "plain": lambda down, across, share: np.zeros(down.shape, bool),
    "hoops": lambda down, across, share: down % 1 < share,
    "stripes": lambda down, across, share: (across + share / 2) % 1 < share,  # upright
    "diagonals": lambda down, across, share: (down + across) % 1 < share,
    "checks": lambda down, across, share: (down % 1 < share) ^ (across % 1 < share),
    "dots": lambda down, across, share: (
        np.hypot(down % 1 - 0.5, across % 1 - 0.5) < 0.28 + 0.2 * share
    ),
    "yoke": lambda down, across, share: down < 0.7 + share,  # above a height
    "panel": lambda down, across, share: np.abs(across) < 0.2 + share,  # an open jacket's front
    "logo": lambda down, across, share: (
        (np.abs(across) < 0.4 + share / 2) & (np.abs(down - 1.3) < share)  # on the chest
    ),
}


@dataclass(frozen=True)
class Pattern:
    """How a garment divides between two materials, which are rows of ``people_materials``."""

    kind: str  # a name of _SECOND
    first: int
    second: int
    period: float  # statures from one stripe, check or dot to the next; sizes yoke, panel and logo
    share: float  # of the period that has the second material, 0..1

    def at(self, along: np.ndarray, around: np.ndarray) -> np.ndarray:
        """Material rows at ``along`` (down from the top) and ``around`` (from the front centre)."""
        second = _SECOND[self.kind](along / self.period, around / self.period, self.share)
        return np.where(second, self.second, self.first).astype(np.uint8)


_TEXTURES = ("hoops", "stripes", "diagonals", "checks", "dots")
_UPPER_PATTERNS = ("plain", *_TEXTURES, "yoke", "panel", "logo")
_LOWER_PATTERNS = ("plain", "plain", "plain", *_TEXTURES)


@dataclass(frozen=True)
class Person:
    """What stays the same of a person in every image.

    Lengths are in statures (body heights), materials are rows of ``people_materials``.
    """

    stature: float  # body height, relative to the tallest
    head: float  # its height
    shoulders: float  # half the width there, as of waist and hips
    waist: float
    hips: float
    legs: float  # their length
    build: float  # thickness of the limbs and the trunk, 1 is average
    skin: int  # a material, as hair and shoes
    hair: int
    hair_style: str  # bald, short, bun or long
    hair_length: float  # of long hair, below the middle of the head
    upper: Pattern
    sleeve: float  # part of the arm that the upper garment covers, 0..1
    hem: float  # how far it reaches below the hips: a coat from about 0.1, a short jacket below 0
    lower: Pattern
    lower_kind: str  # trousers, shorts or skirt
    lower_length: float  # part of the leg that the lower garment covers, 0..1
    flare: float  # how much wider than the body it is at its end
    shoes: int
    bag: str  # none, backpack or shoulder bag
    bag_side: int  # the shoulder a bag hangs from: 1 left, -1 right
    headwear: str  # none, cap or hat (with a brim)
    scarf: bool
    accessories: int  # material of bag, headwear and scarf


@functools.lru_cache(maxsize=64)
def draw_person(people: SyntheticPeople, pid: int) -> Person:
    """The person that ``pid`` is under ``people``: the same in every camera and every image."""
    rng = people.stream("person", pid)
    garments = garment_materials(people)
    pairs = _contrasting(garments[:, :3] @ _LUMINANCE, garments[:, 3])
    first_garment = len(_SKIN) + len(_HAIR)

    def one_of(*choices: T) -> T:
        return choices[rng.integers(len(choices))]

    def pattern(kinds: tuple[str, ...]) -> Pattern:
        first, second = one_of(*pairs)
        return Pattern(
            kind=one_of(*kinds),
            first=first_garment + first,
            second=first_garment + second,
            period=float(np.exp(rng.uniform(np.log(0.06), np.log(0.13)))),
            share=rng.uniform(0.35, 0.6),
        )

    def garment() -> int:
        return first_garment + one_of(*range(len(garments)))

    build = rng.uniform(0.75, 1.35)
    shoulders = rng.uniform(0.10, 0.125) * build**0.4
    hips = rng.uniform(0.085, 0.11) * build**0.5
    lower_kind = one_of("trousers", "trousers", "shorts", "skirt")
    lower_length = {"trousers": (0.85, 1.0), "shorts": (0.3, 0.55), "skirt": (0.35, 0.8)}
    return Person(
        stature=rng.uniform(0.88, 1.0),
        head=rng.uniform(0.125, 0.15),
        shoulders=shoulders,
        waist=min(shoulders, hips) * rng.uniform(0.75, 0.8 + 0.2 * build),
        hips=hips,
        legs=rng.uniform(0.45, 0.53),
        build=build,
        skin=one_of(*range(len(_SKIN))),
        hair=one_of(*range(len(_SKIN), first_garment)),
        hair_style=one_of("bald", "short", "short", "bun", "long", "long"),
        hair_length=rng.uniform(0.1, 0.28),
        upper=pattern(_UPPER_PATTERNS),
        sleeve=one_of(0.0, 0.35, 1.0, 1.0),
        hem=one_of(-0.05, 0.0, 0.02, rng.uniform(0.08, 0.26)),
        lower=pattern(_LOWER_PATTERNS),
        lower_kind=lower_kind,
        lower_length=rng.uniform(*lower_length[lower_kind]),
        flare=rng.uniform(0.0, 1.0),
        shoes=garment(),
        bag=one_of("none", "none", "backpack", "shoulder bag"),
        bag_side=one_of(1, -1),
        headwear=one_of("none", "none", "none", "cap", "hat"),
        scarf=one_of(True, False, False, False, False),
        accessories=garment(),
    )
