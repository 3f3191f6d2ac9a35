"""Options behind a prefix: a study's searches, trainings and evaluations."""

import pytest

from cmnas_tf.commands.command_line import arguments, read
from cmnas_tf.commands.study import StudyCommand, make
from cmnas_tf.errors import BadInput
from cmnas_tf.studies.plan import Evaluating, Searching, Training

NEEDED = ("study", "--run_dir=there", "--data_dir=people")
PARTS = {"search": Searching, "train": Training, "evaluate": Evaluating}


def study(*words):
    return read(StudyCommand, [*NEEDED, *words])


def test_every_option_of_the_parts_is_there_behind_its_prefix():
    """With what there is to know of it, but for names that it never had here."""
    known = {found.name: found for found in StudyCommand.options()}
    for prefix, component in PARTS.items():
        for own in component.options():
            found = known.pop(f"{prefix}.{own.name}")
            assert (found.type, found.default, found.choices) == (
                own.type,
                own.default,
                own.choices,
            )
            assert (found.minimum, found.maximum) == (own.minimum, own.maximum)
            assert (found.advanced, found.path, found.old_names) == (own.advanced, own.path, ())
    assert not [name for name in known if "." in name]


def test_a_value_is_given_to_its_part_alone():
    words = ("--search.epochs=50", "--train.width=0.5", "--evaluate.rerank", "--train.epochs=7")
    found = study(*words)
    assert found.search.algorithm.make().epochs == 50
    assert found.train.recipe.epochs == 7
    assert (found.train.network.width, found.search.space.make().width) == (0.5, 1.0)
    assert found.evaluate.matching.rerank is True
    assert found.values()["search.epochs"] == 50
    assert read(StudyCommand, ["study", *arguments(found)]) == found


def test_changed_by_values():
    """What was not given still is not."""
    plain = StudyCommand()
    changes = {"search.epochs": 50, "search.modality": "visible"}
    changed = plain.with_values(**changes)
    assert changed.values() == {**plain.values(), **changes}
    weights = changed.search.algorithm.make().for_modalities(["visible"]).objective.weights
    assert (weights["correlation"], weights["triplet"]) == (0.0, 1.0)
    with pytest.raises(BadInput, match=r"no option search\.eras"):
        plain.with_values(**{"search.eras": 5})


def test_parts_are_equal_by_their_values():
    plain = StudyCommand()
    assert plain == plain.of_values({}) != plain.of_values({"search.epochs": 50})
    one, other = study("--search.epochs=5"), study("--search.epochs=6")
    assert one != other and one == study("--search.epochs=5")
    assert len({one, other, study("--search.epochs=5")}) == 2


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--search.epoch=3", r"'search\.epoch'\. Did you mean: search\.epochs"),
        ("--epochs=3", r"Unknown command line flag 'epochs'"),
        ("--train.relaxation=gumbel", r"'train\.relaxation'"),
        ("--search.epochs=many", r"search\.epochs=many"),
        ("--search.epochs=0", r"--search\.epochs=0 is out of range"),
        ("--train.epochs=0", r"--train\.epochs=0 is out of range"),
        ("--train.decay_epochs=4,late", r"--train\.decay_epochs=4,late must be numbers"),
        ("--evaluate.shots=5", r"--evaluate\.shots=5 is not allowed; .*1, 10"),
        ("--search.algorithm=drats", r"--search\.algorithm='drats' .*Did you mean darts"),
        ("--train.average_decay=0 --train.adopt_average_every=2", r"--train\.average_decay=0 "),
    ],
)
def test_what_is_wrong_is_said_with_the_prefix(word, message):
    with pytest.raises(BadInput, match=message):
        study(*word.split())


def test_paths_behind_a_prefix(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert study("--train.initial_weights=~/w").train.recipe.start.initial_weights == (
        "/home/ada/w"
    )


# Flags of earlier versions, whose values were flags


def test_flags_in_a_flag_are_those_behind_the_prefix(capsys):
    """With a note of how they are written today."""
    old = study(
        "--search_flags=--epochs=5 --warmup_epochs=1 --noprogress --initial_weights='a b'",
        "--train_flags=--width=0.5",
        "--evaluate_flags=--rerank",
    )
    said = capsys.readouterr().err
    assert old == study(
        "--search.epochs=5",
        "--search.warmup_epochs=1",
        "--nosearch.progress",
        "--search.initial_weights=a b",
        "--train.width=0.5",
        "--evaluate.rerank",
    )
    assert "note: --search_flags is written --search.epochs=5 --search.warmup_epochs=1 " in said
    assert said.count("note: ") == 3
    assert capsys.readouterr().err == ""


def test_a_flagfile_in_a_flag(tmp_path):
    (tmp_path / "a.flags").write_text("--epochs=5\n--warmup_epochs=1\n--dataset=regdb\n")
    old = study(f"--search_flags=--flagfile={tmp_path / 'a.flags'} --epochs=6 --seed=3")
    assert old == study("--search.epochs=6", "--search.warmup_epochs=1")


def test_what_a_study_says_itself_is_passed_over_in_its_parts(capsys):
    """A flagfile of a search may be of a search alone: on which data, where, with which seed."""
    words = ["--dataset=regdb", "--trial=2", "--data_dir=x", "--run_dir=y", "--seed=3"]
    behind = [word.replace("--", f"--{part}.") for part in PARTS for word in words]
    found = study(*behind)
    assert found == study()
    assert (found.data.layout, found.data.trial) == ("sysu_mm01", 1)
    assert capsys.readouterr().err == ""


def test_an_empty_flag_in_flags_says_nothing():
    assert study("--search_flags=", "--train_flags=  ") == study()


def test_the_study_has_what_was_said():
    """The parts arrive where cells are made of them."""
    made = make(study("--search.epochs=20", "--train.epochs=7", "--evaluate.rerank", "--seeds=1"))
    cell = made.cells()[0]
    assert cell.searching.algorithm.make().epochs == 20
    assert cell.training.recipe.epochs == 7
    assert cell.study.evaluating.matching.rerank is True
