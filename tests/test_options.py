"""Options: what is checked when a component is made, and how components are listed and changed."""

import dataclasses
from dataclasses import dataclass

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, described, option


@dataclass(frozen=True)
class Inner(Options):
    """What is inside."""

    size: int = option(3, "How large.", minimum=1, maximum=9)
    sizes: tuple[float, ...] = option((0.5,), "How large all are.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Outer(Options):
    """What is outside."""

    colour: str = option("red", "Of all.", choices=("red", "green"), old_names=("hue",))
    folder: str = option("", "Where it lies.", path=True, affects_result=False)
    weight: float = option(1.0, "How heavy.", minimum=0, recorded=lambda grams: grams * 1000)
    inner: Inner = Inner()


def test_own_options_come_first_and_then_those_of_the_parts():
    assert [known.name for known in Outer.options()] == [
        *("colour", "folder", "weight"),
        *("size", "sizes"),
    ]
    assert [(title, len(options)) for title, options in Outer.groups()] == [
        ("What is outside.", 3),
        ("What is inside.", 2),
    ]


@pytest.mark.parametrize(
    "values, message",
    [
        ({"size": 0}, r"size=0 is out of range; it must be between 1 and 9\."),
        ({"size": 10}, r"size=10 is out of range"),
        ({"weight": -0.5}, r"weight=-0\.5 is out of range; it must be at least 0\."),
        ({"weight": float("nan")}, "weight=nan must be finite"),
        ({"weight": float("inf")}, "weight=inf must be finite"),
        ({"sizes": (1.0, float("nan"))}, r"sizes=\(1\.0, nan\) must be finite"),
        ({"sizes": (1.0, -1.0)}, r"sizes=\(1\.0, -1\.0\) is out of range"),
        (
            {"colour": "gren"},
            r"colour='gren' is not allowed; it must be one of 'red', 'green'\. Did you mean",
        ),
    ],
)
def test_what_is_not_allowed(values, message):
    """The parameter is named: nothing here knows a flag."""
    for make in (Outer.of_values, lambda given: Outer().with_values(**given)):
        with pytest.raises(BadInput, match=message):
            make(values)


def test_bounds_belong_to_the_range():
    assert Inner(size=1).size == 1 and Inner(size=9).size == 9


def test_values_are_flat_and_come_back():
    changed = Outer(colour="green", inner=Inner(size=5))
    assert changed.values() == {
        "colour": "green",
        "folder": "",
        "weight": 1.0,
        "size": 5,
        "sizes": (0.5,),
    }
    assert Outer.of_values({**changed.values(), "of_another_component": 1}) == changed


def test_some_values_are_changed():
    assert Outer().with_values(size=5, colour="green") == Outer(colour="green", inner=Inner(size=5))
    with pytest.raises(BadInput, match="Outer has no option height"):
        Outer().with_values(height=5)


def test_what_is_recorded():
    """What the result does not follow from is left out; the rest is ready for JSON."""
    assert described([Outer(folder="there", weight=2.0)]) == {
        "colour": "red",
        "weight": 2000.0,
        "size": 3,
        "sizes": [0.5],
    }


def test_a_component_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Outer().inner.size = 4


def test_a_detail_that_options_do_not_have():
    with pytest.raises(TypeError, match="An option has no minimun"):
        option(1, "A number.", minimun=0)
