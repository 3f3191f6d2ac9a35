"""The choice of a registered component, with the options of all that are registered."""

from dataclasses import dataclass

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.listed_options import OneOf
from cmnas_tf.options import Option, Options, option
from cmnas_tf.registry import Registry

DRINKS: Registry = Registry("drink")


@dataclass(frozen=True)
class Coffee(Options):
    """Brewed."""

    sugar: int = option(0, "Lumps.", minimum=0, maximum=3)
    grind: str = option("fine", "How it is ground.", choices=("fine", "coarse"))


@dataclass(frozen=True)
class Leaves(Options):
    """Of a plant."""

    leaves: str = option("black", "Which leaves.")


@dataclass(frozen=True, kw_only=True)
class Tea(Options):
    """Steeped."""

    sugar: int = option(0, "Lumps.", minimum=0, maximum=3)
    minutes: float = option(3.0, "How long.", minimum=0.5)
    made_of: Leaves = Leaves()


DRINKS.register("coffee", Coffee)
DRINKS.register("tea", Tea)


class DrinkChoice(OneOf):
    """What is drunk."""

    registry = DRINKS
    selector = Option("drink", str, "coffee", "What it is.")


def test_options_are_those_of_all_entries_each_once():
    names = [found.name for found in DrinkChoice.options()]
    assert names == ["drink", "sugar", "grind", "minutes", "leaves"]
    selector = DrinkChoice.options()[0]
    assert selector.choices == ("coffee", "tea")
    assert [(title, [found.name for found in group]) for title, group in DrinkChoice.groups()] == [
        ("What is drunk.", ["drink"]),
        ("Brewed.", ["sugar", "grind"]),
        ("Steeped.", ["minutes"]),
        ("Of a plant.", ["leaves"]),
    ]


def test_the_entry_that_is_named_is_made_of_what_was_given():
    assert DrinkChoice().make() == Coffee()
    chosen = DrinkChoice.of_values({"drink": "tea", "minutes": 5.0, "leaves": "green", "milk": 1})
    assert chosen.name == "tea"
    assert chosen.make() == Tea(minutes=5.0, made_of=Leaves(leaves="green"))


def test_values_of_all_options():
    found = DrinkChoice(**{"drink": "tea", "minutes": 5.0}).values()
    assert found == {
        **{"drink": "tea", "sugar": 0, "grind": "fine", "minutes": 5.0, "leaves": "black"}
    }
    assert DrinkChoice.of_values(DrinkChoice().values()).values() == DrinkChoice().values()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"drink": "tae"}, r"drink='tae' is not allowed.*Did you mean tea\?"),
        ({"sugar": 4}, r"sugar=4 is out of range; it must be between 0 and 3"),
        ({"drink": "tea", "grind": "rough"}, r"grind='rough' is not allowed"),
        ({"minutes": 0.0}, r"minutes=0\.0 is out of range"),
    ],
)
def test_values_that_are_not_allowed(given, message):
    """Said at once, whichever entry is chosen."""
    with pytest.raises(BadInput, match=message):
        DrinkChoice.of_values(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"minutes": 5.0},
            r"minutes=5\.0 means nothing to drink=coffee\. Leave one of the two out",
        ),
        ({"drink": "tea", "grind": "fine"}, r"grind=fine means nothing to drink=tea"),
    ],
)
def test_an_option_of_another_entry_is_refused_when_it_is_made(given, message):
    with pytest.raises(BadInput, match=message):
        DrinkChoice(**given).make()


def test_what_means_nothing_to_any_of_several_entries():
    """For those who make each of them of one choice."""
    given = DrinkChoice(**{"minutes": 5.0, "sugar": 1})
    given.require_meaning(["tea"])
    given.require_meaning(["coffee", "tea"])
    assert given.of_entry("tea").make() == Tea(minutes=5.0, sugar=1)
    assert given.of_entry("coffee").make() == Coffee(sugar=1)
    DRINKS.register("milk", Leaves)
    try:
        with pytest.raises(BadInput, match=r"minutes=5\.0 means nothing to drink=coffee or milk"):
            given.require_meaning(["coffee", "milk"])
    finally:
        DRINKS.unregister("milk")
    with pytest.raises(BadInput, match=r"drink='te' is not allowed"):
        given.of_entry("te")


def test_changing_an_option_keeps_the_others():
    one = DrinkChoice(**{"drink": "tea", "sugar": 2})
    other = one.with_values(minutes=5.0)
    assert other.make() == Tea(sugar=2, minutes=5.0)
    assert one.make() == Tea(sugar=2)


def test_changing_the_entry_leaves_out_what_the_new_one_does_not_have():
    """But what is changed together with it must mean something to it."""
    tea = DrinkChoice(**{"drink": "tea", "sugar": 2, "minutes": 5.0})
    assert tea.with_values(drink="coffee", grind="coarse").make() == Coffee(2, "coarse")
    assert tea.with_values(drink="tea").make() == Tea(sugar=2, minutes=5.0)
    with pytest.raises(BadInput, match=r"minutes=4\.0 means nothing to drink=coffee"):
        tea.with_values(drink="coffee", minutes=4.0).make()
    with pytest.raises(BadInput, match=r"drink='te' is not allowed; .* Did you mean tea\?"):
        tea.with_values(drink="te")


def test_choices_are_equal_by_their_values():
    assert DrinkChoice() == DrinkChoice(**{"drink": "coffee", "sugar": 0})
    assert hash(DrinkChoice()) == hash(DrinkChoice(**{"sugar": 0}))
    assert DrinkChoice() != DrinkChoice(**{"sugar": 1}) and DrinkChoice() != Coffee()


def test_in_a_component_it_is_a_part_like_any_other():
    @dataclass(frozen=True, kw_only=True)
    class Breakfast(Options):
        """In the morning."""

        rolls: int = option(2, "Rolls.", minimum=0)
        drink: DrinkChoice = DrinkChoice()  # noqa: RUF009

    found = Breakfast.of_values({"rolls": 1, "drink": "tea", "minutes": 4.0})
    assert found.drink.make() == Tea(minutes=4.0)
    changed = found.with_values(rolls=3, drink="coffee")
    assert (changed.rolls, changed.drink.make()) == (3, Coffee())
    assert Breakfast() == Breakfast.of_values({})


def test_an_entry_that_is_registered_later_is_there_at_once():
    @dataclass(frozen=True)
    class Water(Options):
        """From the tap."""

        litres: float = option(0.25, "How much.", minimum=0)

    DRINKS.register("water", Water)
    try:
        assert "litres" in {found.name for found in DrinkChoice.options()}
        assert DrinkChoice(**{"drink": "water", "litres": 1.0}).make() == Water(1.0)
    finally:
        DRINKS.unregister("water")
