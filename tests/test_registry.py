"""Registries: what a name stands for, names that are not there, and what is installed besides."""

import importlib.metadata

import pytest

from cmnas_tf import registry
from cmnas_tf.errors import BadInput
from cmnas_tf.registry import Registry


@pytest.fixture
def colours():
    found: Registry = Registry("colour")
    found.register("red", 1)
    found.register("green", 2)
    return found


def test_a_mapping_in_the_order_of_registration(colours):
    assert list(colours) == ["red", "green"] and len(colours) == 2
    assert colours["green"] == 2 and "blue" not in colours
    assert colours.register("blue", 3) == 3
    assert dict(colours) == {"red": 1, "green": 2, "blue": 3}
    colours.unregister("red")
    assert list(colours) == ["green", "blue"]


def test_a_name_that_is_not_there(colours):
    message = r"no colour 'gren'\. Did you mean green or red\? It must be one of red, green\."
    with pytest.raises(BadInput, match=message):
        colours["gren"]


@pytest.mark.parametrize(
    "name, message",
    [
        ("red", r"There is a colour 'red' already \(1\); register yours under another name"),
        ("light red", "The colour 'light red' cannot be registered: a name is a word"),
    ],
)
def test_a_name_that_cannot_be_registered(colours, name, message):
    with pytest.raises(BadInput, match=message):
        colours.register(name, 4)
    assert dict(colours) == {"red": 1, "green": 2}


@pytest.fixture
def installed(monkeypatch):
    """Puts an entry point among those that are installed."""

    def install(value):
        entry = importlib.metadata.EntryPoint("ours", value, registry.PLUGINS)
        found = {registry.PLUGINS: [entry]}
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found[group])
        registry.load_plugins.cache_clear()

    yield install
    registry.load_plugins.cache_clear()


def test_what_an_installed_package_registers_is_there(installed, colours, tmp_path, monkeypatch):
    (tmp_path / "their_colours.py").write_text("COLOURS.register('blue', 3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("builtins.COLOURS", colours, raising=False)
    installed("their_colours")
    assert colours["blue"] == 3


def test_an_installed_package_that_cannot_be_imported(installed, colours):
    installed("there_is_no_such_module")
    with pytest.raises(BadInput, match=r"plugin 'ours' .*ModuleNotFoundError: .* uninstall"):
        colours["red"]
