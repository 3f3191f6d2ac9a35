"""Flags from files: where they are found, what may stand in them, and in which order they count."""

import pytest

from cmnas_tf.commands import command_line
from cmnas_tf.commands.command_line import CONFIGS, with_flagfiles
from cmnas_tf.commands.search import Search
from cmnas_tf.commands.study import StudyCommand
from cmnas_tf.commands.train import Train
from cmnas_tf.errors import BadInput
from tests.commands.every import read


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The working directory is none of the project's."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nested_and_the_later_flag_wins(tmp_path):
    """A comment, flags, another flagfile in it; more flags before and after."""
    (tmp_path / "inner.flags").write_text("--seed=4\n--width=0.5\n")
    outer = tmp_path / "outer.flags"
    outer.write_text("# a comment\n--flagfile=inner.flags\n\n// another\n--width=0.25\n--epochs=30")
    found = read(Search, "--epochs=20", f"--flagfile={outer}", "--seed=5")
    assert (found.run.seed, found.space.make().width) == (5, 0.25)
    assert found.algorithm.make().epochs == 30


def test_lines_come_in_the_place_of_their_file(tmp_path):
    (tmp_path / "b.flags").write_text("  --two=b \n-three\n")
    (tmp_path / "a.flags").write_text("--one\n--flagfile=b.flags\n--four=4 # 5\n")
    assert with_flagfiles(["x", "--zero", "--flagfile=a.flags", "five", "--six"]) == [
        *("x", "--zero", "--one", "--two=b", "-three", "--four=4 # 5", "five", "--six")
    ]


@pytest.mark.parametrize("name", ["configs/demo_train.flags", "demo_train.flags", "demo_train"])
def test_the_projects_own_are_found_from_everywhere(name):
    expected = read(Train, f"--flagfile={CONFIGS / 'demo_train.flags'}")
    assert expected != read(Train)
    assert read(Train, f"--flagfile={name}") == expected


def test_a_file_of_ones_own_goes_before_one_of_the_projects(tmp_path):
    (tmp_path / "demo_train.flags").write_text("--seed=77\n")
    assert read(Train, "--flagfile=demo_train").run.seed == 77
    assert read(Train, "--flagfile=configs/demo_train").run.seed == 0


def test_in_a_home_and_behind_a_variable(tmp_path, monkeypatch):
    (tmp_path / "mine.flags").write_text("--seed=3\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MINE", str(tmp_path / "mine.flags"))
    assert read(Train, "--flagfile=~/mine.flags").run.seed == 3
    assert read(Train, "--flagfile=$MINE").run.seed == 3


def test_in_two_words(tmp_path):
    (tmp_path / "a.flags").write_text("--seed=3\n")
    assert read(Train, "--flagfile", "a.flags", "--epochs", "9").run.seed == 3
    with pytest.raises(BadInput, match="No flagfile ''"):
        read(Train, "--flagfile")


def test_one_that_contains_itself(tmp_path):
    """Directly, and by another one."""
    for names in (["a"], ["a", "b"], ["a", "b", "c"]):
        for name, inner in zip(names, [*names[1:], names[0]], strict=True):
            (tmp_path / f"{name}.flags").write_text(f"--flagfile={inner}.flags\n")
        last = names[-1]
        with pytest.raises(BadInput, match=rf"--flagfile=a\.flags contains itself.*{last}\.flags"):
            read(Train, "--flagfile=a.flags")
    (tmp_path / "twice.flags").write_text("--flagfile=d.flags\n--flagfile=d.flags\n")
    (tmp_path / "d.flags").write_text("--seed=1\n")
    assert read(Train, "--flagfile=twice").run.seed == 1  # in a row is not in itself


@pytest.mark.parametrize("name", ["none", "no/such.flags", "~/none.flags", ""])
def test_one_that_is_not_there(name):
    with pytest.raises(BadInput, match=r"No flagfile .*one of .*demo_train, .*sysu_train"):
        read(Train, f"--flagfile={name}")


@pytest.mark.parametrize("line", ["epochs=3", "train", "\tseed 3"])
def test_what_is_no_flag_in_one(tmp_path, line):
    (tmp_path / "a.flags").write_text(f"--seed=1\n{line}\n")
    with pytest.raises(BadInput, match=rf"a\.flags holds '{line.strip()}'; .*--name=value"):
        read(Train, "--flagfile=a.flags")


def test_a_flag_that_the_command_does_not_have_is_one_in_a_file_too(tmp_path):
    (tmp_path / "a.flags").write_text("--relaxation=gumbel\n")
    with pytest.raises(BadInput, match=r"Unknown command line flag 'relaxation'"):
        read(Train, "--flagfile=a.flags")


def test_with_a_prefix(tmp_path):
    """The prefix goes before every flag, those of inner files and those without a value too."""
    (tmp_path / "inner.flags").write_text("--epochs=7\n--noprogress\n")
    (tmp_path / "outer.flags").write_text("--flagfile=inner.flags\n--warmup_epochs=2\n")
    assert with_flagfiles(["--search.flagfile=outer.flags"]) == [
        *("--search.epochs=7", "--search.progress=false", "--search.warmup_epochs=2")
    ]
    study = read(StudyCommand, "--search.flagfile=outer.flags", "--search.epochs=8")
    algorithm = study.search.algorithm.make()
    assert (algorithm.epochs, algorithm.warmup_epochs) == (8, 2)
    assert study.search.how.progress.progress is False
    assert study.train == StudyCommand().train


def test_a_prefix_in_a_file(tmp_path):
    """As in the flagfiles of studies: a file of a part within the study's."""
    (tmp_path / "part.flags").write_text("--margin=0.25\n")
    (tmp_path / "study.flags").write_text("--train.flagfile=part.flags\n--seeds=2\n")
    study = read(StudyCommand, "--flagfile=study")
    assert study.comparison.seeds == 2
    assert study.train.recipe.objective.values()["margin"] == 0.25


def test_words_that_only_look_like_it():
    words = ["--flagfiles=a", "--my_flagfile=a", "--x.my_flagfile=a", "flagfile=a"]
    assert with_flagfiles(words) == words


def test_help_is_asked_for_with_one_as_well(tmp_path, capsys):
    (tmp_path / "a.flags").write_text("--seed=1\n")
    with pytest.raises(SystemExit):
        command_line.read(Train, ["train", "--flagfile=a.flags", "--help"])
    assert "Required:" in capsys.readouterr().out


def test_one_that_is_no_text(tmp_path):
    (tmp_path / "a.flags").write_bytes(b"\xff\xfe--epochs=1")
    with pytest.raises(BadInput, match=r"a\.flags holds .*; give a flag a line"):
        with_flagfiles(["x", f"--flagfile={tmp_path / 'a.flags'}"])
