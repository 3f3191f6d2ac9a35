"""The flagfiles: the commands in their headers are accepted, and what they say of defaults."""

import re
from pathlib import Path

import numpy as np
import pytest

from cmnas_tf import command_line, settings
from cmnas_tf.losses import Objective
from cmnas_tf.training.objectives import architecture_objective, weight_objective
from cmnas_tf.training.optimizers import factor_at

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs").glob("*.flags"))
COMMAND = re.compile(r"^#   python -m (\S+) (.*)$", re.MULTILINE)
SEARCHES = ("search", "classification_search")
OPTION = re.compile(r"^#   (--\S+)$", re.MULTILINE)


def settings_of(module):
    """The settings class of a command, by its module's name."""
    text = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    return getattr(settings, re.search(r"command_line\.run\(main, settings\.(\w+)\)", text)[1])


def read(module, flags):
    return command_line.read(settings_of(module), [module, *flags.split()])


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    """Flagfiles are named from there."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_commands_of_a_flagfile_are_accepted(file):
    """With it, and with every option that its header offers."""
    text = file.read_text()
    commands = COMMAND.findall(text)
    if not commands:  # it is there for other flagfiles
        flagfile = f"--flagfile=configs/{file.name}"
        assert any(flagfile in other.read_text() for other in FILES if other != file)
        return
    module, flags = commands[0]
    assert f"--flagfile=configs/{file.name}" in flags
    for module, flags in commands:
        read(module, flags)
    module, flags = commands[0]
    for option in OPTION.findall(text):
        assert read(module, f"{flags} {option}") != read(module, flags)


@pytest.mark.parametrize("name, decay, adopt_every", [("sysu", 0.997, 2), ("regdb", 0.968, 10)])
def test_the_authors_recipe(name, decay, adopt_every):
    """Of their released code: the average's decay, and the epochs after which it is adopted."""
    text = (ROOT / "configs" / f"{name}_train.flags").read_text()
    module, flags = COMMAND.findall(text)[0]
    (option,) = OPTION.findall(text)
    schedule = read(module, f"{flags} {option}").schedule
    assert (schedule.average_decay, schedule.adopt_average_every) == (decay, adopt_every)


def test_the_recipe_for_sysu_mm01_is_the_default():
    """But for the weights that it starts from, and what a command has to be told."""
    found = settings.shaping_result(read("cmnas_tf.train", "--flagfile=configs/sysu_train.flags"))
    default = settings.shaping_result(settings.Train())
    different = {name for name in found if found[name] != default[name]}
    assert different == {"initial_weights"}


def market_search(name):
    return read("cmnas_tf.search", f"--flagfile=configs/market1501_autoreid_{name}.flags")


def test_the_recipe_of_auto_reid():
    """The paper's objective, for the weights and for the architecture alike; half of each."""
    found = market_search("search")
    for objective in (
        weight_objective(found.loss),
        architecture_objective(found.loss, found.architecture_loss, found.schedule.split),
    ):
        assert objective == Objective(0.5, 0.5, 0.0, 0.0, margin=0.3)
    assert found.batch.images_per_identity == 4
    rates = [factor_at(epoch, 1, 200, found.optimizer) for epoch in (0, 100, 200)]
    assert 0.1 * np.array(rates) == pytest.approx([0.1, 0.0505, 0.001])


def test_a_search_by_classification_differs_in_the_objective_alone():
    one, other = (settings.shaping_result(market_search(name)) for name in SEARCHES)
    assert {name: other[name] for name in one if one[name] != other[name]} == {
        "objective": "classification"
    }
