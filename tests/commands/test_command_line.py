"""From the command line to a command and back, exit codes, and what is said to people."""

import logging
import os
import re
import signal
import sys

import pytest

from cmnas_tf.commands import command_line
from cmnas_tf.commands.command_line import arguments, in_flags
from cmnas_tf.commands.demo import Demo
from cmnas_tf.commands.evaluate import Evaluate
from cmnas_tf.commands.import_weights import ImportWeights
from cmnas_tf.commands.results import Results
from cmnas_tf.commands.search import Search
from cmnas_tf.commands.train import Train
from cmnas_tf.commands.trials import Trials
from cmnas_tf.errors import BadInput, Stopped, TrainingDiverged, WorkerLost
from cmnas_tf.options import Option
from cmnas_tf.training.recipe import Recipe
from tests.commands.every import class_of, every_command, read


def another_value(known: Option) -> tuple[object, str]:
    """A legal value that is not the default, and how it is written after ``=``."""
    default = known.default
    if known.choices:
        value = next(choice for choice in known.choices if choice != default)
    elif isinstance(default, bool):
        value = not default
    elif known.type == tuple[str, ...]:
        return ("a.json", "b/c.json"), "a.json,b/c.json"
    elif known.type == tuple[int, ...]:
        return (3, 4), "3,4"
    elif isinstance(default, tuple):
        return (3.0, 4.5), "3,4.5"
    elif isinstance(default, str):
        value = "a folder/with blanks"
    else:
        step = 1 if isinstance(default, int) else 0.125
        highest = known.maximum
        value = default + step if highest is None or default + step <= highest else default - step
    return value, str(value)


@every_command
def test_no_flags_give_the_defaults(name):
    """But for what is needed."""
    command = class_of(name)
    needed = {
        known.name: ("there",) if known.type == tuple[str, ...] else "there"
        for known in command.options()
        if known.required
    }
    assert read(command) == command.of_values(needed)
    for known in command.options():
        expected = needed.get(known.name, known.default)
        assert read(command).values()[known.name] == expected, known.name


@every_command
def test_every_option_is_a_flag(name):
    """Set alone, it and nothing else differs from the defaults; and as flags it comes back."""
    command = class_of(name)
    plain = read(command).values()
    for known in command.options():
        if known.name.split(".")[-1] == "recipe":  # which others follow: see test_recipes.py
            continue
        value, text = another_value(known)
        found = read(command, f"--{known.name}={text}")
        assert found.values() == {**plain, known.name: value}
        assert command_line.read(command, ["command", *arguments(found)]) == found


def test_booleans_and_lists():
    assert read(Search, "--noprogress").how.progress.progress is False
    assert read(Search, "--skip_unreadable").data.skip_unreadable is True
    assert read(Train, "--decay_epochs=1,2.5, 4").recipe.optimizer.decay_epochs == (1.0, 2.5, 4.0)
    assert read(Train, "--decay_epochs=").recipe.optimizer.decay_epochs == ()
    assert read(Search, "--seed", "3").run.seed == 3


def test_options_as_flags():
    """The shortest command line that gives them again."""
    assert arguments(Search()) == []
    found = read(Search, "--decay_epochs=1,2.125", "--seed=0", "--noprogress")
    found = found.with_values(weight_decay=1e-05)
    assert arguments(found) == [
        "--run_dir=there",
        "--data_dir=there",
        "--weight_decay=1e-05",
        "--decay_epochs=1,2.125",
        "--progress=False",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["--remove", "cam1", "cam2"],
        ["--remove=cam1", "cam2"],
        ["--remove=cam1,cam2"],
        ["--remove", "cam1", "cam2", "--noprogress"],
        ["--remove", "cam1", "--noprogress", "cam2"],
    ],
    ids=" ".join,
)
def test_a_flag_of_several_words(words):
    assert read(class_of("build_index"), *words).remove == ("cam1", "cam2")


@pytest.mark.parametrize(
    "words",
    [["identify", "--k=3"], ["--k=3", "identify"], ["--action=identify", "--k=3"]],
    ids=" ".join,
)
def test_a_first_word_that_is_no_flag(words):
    found = read(class_of("client"), *words).values()
    assert (found["action"], found["k"]) == ("identify", 3)


def test_first_words_that_are_not_allowed():
    client = class_of("client")
    with pytest.raises(BadInput, match=r"--action='find'.*one of 'embed', 'identify'"):
        read(client, "find")
    with pytest.raises(BadInput, match=r"no flags: identify"):
        read(client, "embed", "identify")


@pytest.mark.parametrize("words", [["--compare", "A", "B"], ["--compare=A,B"]], ids=" ".join)
def test_a_flag_that_was_taken_out_names_what_is_there_instead(words):
    with pytest.raises(BadInput, match=r"^Two results .* cmnas results --side_by_side A B\.$"):
        read(Evaluate, *words)


def test_fractions_of_an_epoch():
    found = read(Train, "--learning_rate_warmup=0.5")
    assert found.recipe.optimizer.learning_rate_warmup == 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--no_such_flag=1"], r"no_such_flag.*--help"),
        (["--seeds=1"], r"seeds.*Did you mean: seed.*--help"),
        (["--epoch=1"], r"'epoch'\. Did you mean: epochs"),
        (["--seed=-1"], r"--seed=-1 is out of range; .*between 0 and 4294967295"),
        (["--width=5"], r"--width=5\.0 is out of range; .*between 0\.0625 and 4\.0"),
        (["--width=nan"], r"--width=nan"),
        (["--margin=inf"], r"--margin=inf"),
        (["--seed=many"], r"seed=many"),
        (["--optimizer=lion"], r"optimizer='lion'.*adam.*sgd"),
        (["--optimizer=adm"], r"--optimizer='adm' is not allowed.*Did you mean adam\?"),
        (["--dataset=market"], r"--dataset='market' is not allowed.*Did you mean market1501\?"),
        (["--last_stride=3"], r"--last_stride=3 is not allowed; .*1, 2"),
        (["--decay_epochs=10,late"], r"--decay_epochs=10,late must be numbers"),
        (["--cells=2,1.5"], r"--cells=2,1\.5 must be whole numbers"),
        (["--progress=perhaps"], r"progress=perhaps"),
        (["--seed"], r"seed"),
        (["search", "--seed=1"], r"no flags: search.*--name=value"),
        (
            ["--adopt_average_every=2", "--average_decay=0"],
            r"--adopt_average_every=2 has .* because --average_decay=0 switches it off",
        ),
        (["--logical_devices=2", "--strategy=one_device"], r"--strategy=one_device does not"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(words, message):
    """The option is named as a flag, whoever found fault with it."""
    with pytest.raises(BadInput, match=message):
        read(Train, *words)


def test_what_is_wrong_with_a_search():
    """Said by the algorithm, once it is made of its options."""
    found = read(Search, "--epochs=5", "--warmup_epochs=5")
    with pytest.raises(BadInput) as raised:
        found.algorithm.make()
    said = in_flags(str(raised.value), Search.options())
    assert "--warmup_epochs=5 leaves no epoch of --epochs=5" in said
    with pytest.raises(BadInput, match="--epochs=0 is out of range"):
        read(Search, "--epochs=0")


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ([], r"--run_dir is missing\. Folder of this run"),
        (["--run_dir=a"], r"--data_dir is missing\. Folder of the data set"),
        (["--run_dir=a", "--data_dir="], r"--data_dir is missing"),
    ],
)
def test_what_is_needed_is_asked_for(given, missing):
    with pytest.raises(BadInput, match=missing):
        command_line.read(Train, ["train", *given])


def test_old_names_are_taken_with_a_note(capsys):
    """The new one wins over the old one."""
    words = ["--file=there", "--output=there"]
    found = command_line.read(ImportWeights, ["x", "--weights=a.pth", "--output=there"])
    assert found.file == "a.pth"
    assert capsys.readouterr().err == "note: --weights is called --file now\n"
    found = command_line.read(ImportWeights, ["x", "--weights=a.pth", *words])
    assert found.file == "there"
    capsys.readouterr()
    assert read(Trials, "--trials=1-3").splits == "1-3"
    assert capsys.readouterr().err == "note: --trials is called --splits now\n"
    read(Trials, "--splits=1-3")
    assert capsys.readouterr().err == ""


def test_paths_of_a_home_and_of_variables(monkeypatch):
    """In every option that names a file or a folder, and in no other one."""
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("DATA", "/data")
    found = read(Evaluate, "--run_dir=~/runs", "--data_dir=$DATA/x")
    assert (found.source.run_dir, found.data.data_dir) == ("/home/ada/runs", "/data/x")
    assert read(Results, "--runs=~/a,${DATA}/b").runs == ("/home/ada/a", "/data/b")
    assert read(Evaluate, "--run_dir=$NOWHERE/~").source.run_dir == "$NOWHERE/~"
    assert read(Trials, "--splits=$DATA").splits == "$DATA"


def test_messages_of_the_library_in_flags():
    """Options that the command has, and functions that a command calls; nothing else."""
    options = Recipe.options()
    for message, said in (
        ("epochs=3 is odd", "--epochs=3 is odd"),
        ("give `epochs`, not `eras`", "give --epochs, not `eras`"),
        ("epochs and eras=3", "epochs and eras=3"),
        ("a.epochs=3 --epochs=4 x-epochs=5", "a.epochs=3 --epochs=4 x-epochs=5"),
        ("``epochs`` is code", "``epochs`` is code"),
        ("`train_network` first", "cmnas train first"),
        ("train_network first", "train_network first"),
        ("data_dir=x", "data_dir=x"),
    ):
        assert in_flags(message, options) == said


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command whose main does what a test says; gives its exit code and its streams."""
    monkeypatch.setattr(logging.getLogger("cmnas_tf"), "handlers", [])
    monkeypatch.setattr(logging.getLogger("cmnas_tf"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("cmnas_tf"), "level", logging.WARNING)

    def run(main, *flags, command=Demo):
        monkeypatch.setattr(sys, "argv", ["command", *flags])
        code = 0
        try:
            command_line.run(main, command)
        except SystemExit as done:
            code = done.code
        return code, capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (BadInput("run_dir=x is taken."), 2, "^\nerror: --run_dir=x is taken."),
        (TrainingDiverged("triplet is nan"), 3, "error: triplet is nan"),
        (WorkerLost("localhost:1 is gone"), 4, "error: localhost:1 is gone"),
        (
            Stopped(signal.SIGINT, "step 5"),
            130,
            "Stopped by SIGINT after step 5, .*Rerun the same",
        ),
        (Stopped(signal.SIGHUP, "step 5"), 129, "Stopped by SIGHUP after step 5"),
        (Stopped(signal.SIGTERM, "2 of 6 cells"), 143, "Stopped by SIGTERM after 2 of 6 cells"),
        (OSError(28, "No space left on device", "/disk/a"), 2, "No space left.*/disk/a"),
        (KeyboardInterrupt(), 130, "Interrupted by SIGINT"),
    ],
    ids=[
        "bad input",
        "diverged",
        "lost",
        "Ctrl-C",
        "SIGHUP",
        "SIGTERM",
        "disk full",
        "interrupted",
    ],
)
def test_exit_codes(run, error, code, message):
    """A sentence on the error stream, no traceback."""

    def main(_):
        raise error

    found, shown = run(main)
    assert found == code
    assert re.search(message, shown.err) and shown.out == ""
    assert "Traceback" not in shown.err


def test_sigterm_unwinds_like_an_interruption(run):
    """What must be cleaned up is; afterwards the signal does what it did before."""
    cleaned, before = [], signal.getsignal(signal.SIGTERM)

    def main(_):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append(True)

    code, shown = run(main)
    assert code == 143 and cleaned
    assert "Interrupted by SIGTERM" in shown.err
    assert signal.getsignal(signal.SIGTERM) == before


def test_bad_flags_end_with_code_2(run):
    code, shown = run(lambda _: pytest.fail("must not run"), "--seed=-1")
    assert code == 2
    assert "--seed=-1 is out of range" in shown.err


def test_a_fault_of_the_program_keeps_its_traceback(run):
    """Only what a person can mend is turned into a sentence."""

    def main(_):
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        run(main)


def test_what_the_library_logs_is_shown_as_notes(run):
    """A line each, on the error stream; what is for its developers is not."""

    def main(_):
        logger = logging.getLogger("cmnas_tf.somewhere.below")
        logger.debug("unseen")
        logger.info("%d images", 3)
        logger.warning("beware of seed=3 and `run_dir`")

    code, shown = run(main)
    assert (code, shown.out) == (0, "")
    assert shown.err == "note: 3 images\nwarning: beware of --seed=3 and --run_dir\n"
