"""The flagfiles: the commands in their headers are accepted, and what they say of defaults."""

import re
from pathlib import Path

import numpy as np
import pytest

from cmnas_tf.architecture import Architecture
from cmnas_tf.commands import command_line
from cmnas_tf.commands.cmnas import COMMANDS
from cmnas_tf.commands.search import Search
from cmnas_tf.commands.study import StudyCommand, make
from cmnas_tf.commands.train import Train
from cmnas_tf.losses import Objective
from cmnas_tf.options import described
from cmnas_tf.training.optimizers import Schedule
from tests.commands.every import class_of, read

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").glob("*.flags"))
COMMAND = re.compile(r"^#   (?:python -m cmnas_tf[. ]|cmnas )(\S+) (.*)$", re.MULTILINE)
SEARCHES = ("search", "classification_search")
OPTION = re.compile(r"^#   (--\S+)$", re.MULTILINE)


def read_line(name, flags):
    """What a command in a header gives, made as far as that needs no files of the user."""
    found = command_line.read(class_of(name), [name, *flags.split()])
    if isinstance(found, Search):
        found.space.make(), found.algorithm.make()
    if isinstance(found, StudyCommand):
        make(found)
    return found


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    """Flagfiles are named from there."""
    monkeypatch.chdir(ROOT)


def test_all_commands_in_headers_are_found():
    """Whatever way of writing them the headers take."""
    headers = [path.read_text() for path in FILES]
    written = sum(len(re.findall(r"^#   (?:python|cmnas) ", text, re.M)) for text in headers)
    found = [name for text in headers for name, _ in COMMAND.findall(text)]
    assert len(found) == written > 30
    assert set(found) <= set(COMMANDS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_commands_of_a_flagfile_are_accepted(file, capsys):
    """With it, and with every option that its header offers; in today's words."""
    text = file.read_text()
    commands = COMMAND.findall(text)
    if not commands:  # it is there for other flagfiles
        flagfile = f"--flagfile=configs/{file.name}"
        assert any(f"\n{flagfile}" in other.read_text() for other in FILES if other != file)
        return
    name, flags = commands[0]
    assert f"--flagfile=configs/{file.name}" in flags
    for name, flags in commands:
        read_line(name, flags)
    name, flags = commands[0]
    for option in OPTION.findall(text):
        assert read_line(name, f"{flags} {option}") != read_line(name, flags)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_flagfile_says_nothing_twice(file):
    """Of two lines with the same flag the first would mean nothing."""
    names = [line.partition("=")[0] for line in file.read_text().splitlines() if line[:2] == "--"]
    names = [name for name in names if not name.endswith("flagfile")]
    assert len(names) == len(set(names)) > 0


def flagfile(command, name):
    return read(command, f"--flagfile=configs/{name}.flags")


@pytest.mark.parametrize("name, decay, adopt_every", [("sysu", 0.997, 2), ("regdb", 0.968, 10)])
def test_the_authors_recipe(name, decay, adopt_every):
    """Of their released code: the average's decay, and the epochs after which it is adopted."""
    text = (ROOT / "configs" / f"{name}_train.flags").read_text()
    command, flags = COMMAND.findall(text)[0]
    (option,) = OPTION.findall(text)
    recipe = read_line(command, f"{flags} {option}").recipe
    assert (recipe.average_decay, recipe.adopt_average_every) == (decay, adopt_every)
    assert recipe.epochs == 120


def test_the_recipe_for_sysu_mm01_is_the_default():
    """But for the weights that it starts from; and which data set it is, it says itself."""
    found, default = (described([c]) for c in (flagfile(Train, "sysu_train"), read(Train)))
    different = {name for name in found if found[name] != default[name]}
    assert different == {"dataset", "initial_weights"}


def market_search(name):
    return flagfile(Search, f"market1501_autoreid_{name}")


def test_the_recipe_of_auto_reid():
    """The paper's objective, for the weights and for the architecture alike; half of each."""
    found = market_search("search").algorithm.make()
    halves = Objective(cross_entropy=0.5, triplet=0.5, correlation=0, mmd=0, margin=0.3)
    assert found.objective == found.architecture_objective == halves
    assert found.sampling.images_per_identity == 4
    rates = [Schedule(found.optimizer, 1, 200).factor(epoch) for epoch in (0, 100, 200)]
    assert 0.1 * np.array(rates) == pytest.approx([0.1, 0.0505, 0.001])


def test_a_search_by_classification_differs_in_the_objective_alone():
    one, other = (
        described([found.space.make(), found.algorithm.make()])
        for found in map(market_search, SEARCHES)
    )
    assert {name: other[name] for name in one if one[name] != other[name]} == {
        "objective": "classification"
    }


ONE_MODALITY = "--correlation_weight=0 --mmd_weight=0"
# Of each study the parts as earlier versions wrote them: flags in a flag, and all of them said.
# What the searches of the two large data sets were like when those studies were written down.
AS_BEFORE = "--selection=logits --schedule=steps --decay_epochs= --strategy=one_device"
EARLIER = {
    "study_sysu": {
        "search_flags": f"--flagfile=configs/sysu_search.flags {AS_BEFORE}",
        "train_flags": (
            "--flagfile=configs/sysu_train.flags --strategy=one_device --epochs=120 "
            "--average_decay=0.997"
        ),
    },
    "study_regdb": {
        "search_flags": f"--flagfile=configs/regdb_search.flags {AS_BEFORE}",
        "train_flags": (
            "--flagfile=configs/regdb_train.flags --strategy=one_device --epochs=120 "
            "--average_decay=0.968"
        ),
    },
    "study_synthetic": {
        "search_flags": "--flagfile=configs/study_synthetic_search.flags",
        "train_flags": "--flagfile=configs/study_synthetic_train.flags",
    },
    "study_synthetic_hard": {
        "search_flags": "--flagfile=configs/study_synthetic_search.flags",
        "train_flags": "--flagfile=configs/study_synthetic_train.flags",
    },
    "study_autoreid_synthetic": {
        "search_flags": (
            "--flagfile=configs/small_autoreid_search.flags --epochs=4 --strategy=one_device "
            f"{ONE_MODALITY} {ONE_MODALITY.replace('--', '--architecture_')}"
        ),
        "train_flags": (
            "--flagfile=configs/small_autoreid_train.flags --epochs=6 --strategy=one_device "
            f"{ONE_MODALITY}"
        ),
    },
}
SMALL = (
    "--backbone=resnet18 --width=0.25 --image_height=64 --image_width=32 --identities_per_batch=8 "
    "--images_per_identity=4 --pad=4 --cache=decoded --backbone_learning_rate=0.003 "
    "--head_learning_rate=0.003 --schedule_every=step --learning_rate_warmup=1"
)


@pytest.mark.parametrize("name", EARLIER)
def test_the_cells_of_a_study_are_those_of_earlier_versions(name, tmp_path, capsys):
    """So one that was begun with flags in flags is resumed, and what is finished stays so."""
    now = make(flagfile(StudyCommand, name))
    own = (ROOT / "configs" / f"{name}.flags").read_text()
    if inner := re.search(r"^--flagfile=(.*)$", own, re.M):  # of which it changes a line
        own = f"{Path(inner[1]).read_text()}\n{own}"
    kept = re.findall(r"^(--(?!flagfile|search\.|train\.|evaluate\.)\S+)$", own, re.M)
    flags = {**EARLIER[name], "evaluate_flags": "--strategy=one_device"}
    before = make(read(StudyCommand, *kept, *(f"--{flag}={said}" for flag, said in flags.items())))
    assert capsys.readouterr().err.count("note: ") == 3
    assert [cell.name for cell in now.cells()] == [cell.name for cell in before.cells()]
    for cell, earlier in zip(now.cells(), before.cells(), strict=True):
        assert cell.settings == earlier.settings
        assert (cell.searching is None) == (earlier.searching is None)
        if cell.searching is not None:
            assert cell.searching.how == earlier.searching.how
        assert cell.training.how == earlier.training.how
    assert now.evaluating == before.evaluating


@pytest.mark.parametrize(
    ("command", "name", "flags"),
    [
        (Search, "demo_search", "--epochs=10 --warmup_epochs=4 --decay_epochs= --split=identities "
         "--architecture_learning_rate=0.01 --architecture_weight_decay=0"),
        (Train, "demo_train", "--epochs=14 --decay_epochs=9,12 --average_decay=0.99 "
         "--erase_probability=0"),
        (Train, "study_synthetic_train", "--strategy=one_device --epochs=14 --decay_epochs=9,12 "
         "--average_decay=0.99 --erase_probability=0"),
    ],
    ids=lambda value: value if isinstance(value, str) and value[:1] != "-" else "",
)  # fmt: skip
def test_a_recipe_in_a_flagfile_is_what_the_flagfile_said_before(command, name, flags):
    """Every option, those that no result follows from too."""
    assert flagfile(command, name) == read(command, *SMALL.split(), *flags.split())


def test_the_recipe_of_agw():
    """The learning rate of their released code, epoch by epoch: a tenth of it more in each of ten,
    as it is until 20, then a tenth and a hundredth; losses and network."""
    found = flagfile(Train, "agw_sysu")
    recipe, parts = found.recipe, found.network.parts
    rates = [Schedule(recipe.optimizer, 1, 81).factor(epoch) for epoch in range(81)]
    published = [(n + 1) / 10 for n in range(10)] + [1.0] * 10 + [0.1] * 30 + [0.01] * 31
    np.testing.assert_allclose(rates, published, rtol=1e-12)
    optimizer = recipe.optimizer
    assert (optimizer.backbone_learning_rate, optimizer.head_learning_rate) == (0.01, 0.1)
    assert (optimizer.momentum, optimizer.nesterov, optimizer.weight_decay) == (0.9, True, 5e-4)
    used = {name for name, weight in recipe.objective.weights.items() if weight}
    assert used == {"cross_entropy", "weighted_triplet"}
    assert (parts.separate_stem, parts.non_local, parts.pooling) == (True, (0, 2, 3, 0), "gem")
    assert found.network.make() == Architecture.separate_until("stem")
    assert recipe.epochs == 81
