"""Flags, help, exit codes, and what a command imports before it knows what to do."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cmnas_tf import command_line, settings
from cmnas_tf.errors import BadInput, TrainingDiverged

ROOT = Path(__file__).parents[1]
DOORS = [path for room in ("cmnas_tf", "export") for path in (ROOT / room).glob("*.py")]
COMMANDS = {
    f"{path.parent.name}.{path.stem}": getattr(settings, found[1])
    for path in sorted(DOORS)
    if (found := re.search(r"command_line\.run\(main, settings\.(\w+)\)", path.read_text()))
}
HEAVY = {"numpy", "scipy", "cv2", "PIL", "matplotlib", "tensorflow", "keras", "official"}
HEAVY |= {"tensorflow_addons", "tensorboard"}

every_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))


def read(*arguments: str, command=settings.Search):
    return command_line.read(command, ["command", *arguments])


def another_value(field) -> tuple[object, str]:
    """A legal value that is not the default, and how it is written after ``=``."""
    default, metadata = field.default, field.metadata
    if metadata["choices"]:
        value = next(choice for choice in metadata["choices"] if choice != default)
    elif isinstance(default, bool):
        value = not default
    elif field.type == tuple[str, ...]:
        return ("a.json", "b/c.json"), "a.json,b/c.json"
    elif field.type == tuple[int, ...]:
        return (3, 4), "3,4"
    elif isinstance(default, tuple):
        return (3.0, 4.5), "3,4.5"
    elif isinstance(default, str):
        value = "a folder/with blanks"
    else:
        step = 1 if isinstance(default, int) else 0.125
        highest = metadata["maximum"]
        value = default + step if highest is None or default + step <= highest else default - step
    return value, str(value)


def test_every_command_has_settings_of_its_own():
    """Named in their docstring; and no settings are without a command."""
    for door, command in COMMANDS.items():
        assert f"``python -m {door}``" in command.__doc__
    commands = {
        member
        for member in vars(settings).values()
        if dataclasses.is_dataclass(member) and not issubclass(member, settings.Group)
    }
    assert {"cmnas_tf.search", "cmnas_tf.train", "cmnas_tf.evaluate"} < set(COMMANDS)
    assert commands == set(COMMANDS.values())


@every_command
def test_no_flags_give_the_defaults(command):
    assert read(command=command) == command()


@every_command
def test_every_setting_is_a_flag(command):
    """Set alone, it and nothing else differs from the defaults."""
    for group, field in settings.fields(command):
        value, text = another_value(field)
        found = read(f"--{field.name}={text}", command=command)
        assert getattr(getattr(found, group), field.name) == value
        assert read(*command_line.arguments(found), command=command) == found
        others = [
            getattr(getattr(found, g), f.name) == f.default
            for g, f in settings.fields(command)
            if f.name != field.name
        ]
        assert all(others)


def test_booleans_and_lists():
    assert read("--noprogress").progress.progress is False
    assert read("--skip_unreadable").data.skip_unreadable is True
    assert read("--decay_epochs=1,2.5, 4").optimizer.decay_epochs == (1.0, 2.5, 4.0)
    assert read("--decay_epochs=").optimizer.decay_epochs == ()
    assert read("--seed", "3").run.seed == 3


def test_settings_as_flags():
    """The shortest command line that gives them again."""
    assert command_line.arguments(settings.Search()) == []
    found = read("--decay_epochs=1,2.125", "--seed=0", "--noprogress", "--weight_decay=1e-05")
    assert command_line.arguments(found) == [
        "--weight_decay=1e-05",
        "--decay_epochs=1,2.125",
        "--progress=False",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--compare", "A.json", "B.json"],
        ["--compare=A.json", "B.json"],
        ["--compare=A.json,B.json"],
        ["--compare", "A.json", "B.json", "--noprogress"],
        ["--compare", "A.json", "--noprogress", "B.json"],
    ],
    ids=" ".join,
)
def test_a_flag_of_several_words(arguments):
    found = read(*arguments, command=settings.Evaluate)
    assert found.results.compare == ("A.json", "B.json")


@pytest.mark.parametrize(
    "arguments",
    [["identify", "--k=3"], ["--k=3", "identify"], ["--action=identify", "--k=3"]],
    ids=" ".join,
)
def test_a_first_word_that_is_no_flag(arguments):
    found = read(*arguments, command=settings.Client).request
    assert (found.action, found.k) == ("identify", 3)


def test_first_words_that_are_not_allowed():
    with pytest.raises(BadInput, match=r"--action='find'.*one of 'embed', 'identify'"):
        read("find", command=settings.Client)
    with pytest.raises(BadInput, match=r"no flags: identify"):
        read("embed", "identify", command=settings.Client)


@pytest.mark.parametrize("words", ["A", "A B C", "A,B C"])
def test_one_or_three_files_cannot_be_compared(words):
    with pytest.raises(BadInput, match=r"--compare A\.json B\.json\. Received [13]: A"):
        read("--compare", *words.split(), command=settings.Evaluate)


def test_fractions_of_an_epoch():
    assert read("--learning_rate_warmup=0.5").optimizer.learning_rate_warmup == 0.5


def test_flagfile(tmp_path):
    """A comment, flags, another flagfile in it; the later flag wins."""
    (tmp_path / "inner.flags").write_text("--seed=4\n--width=0.5\n")
    outer = tmp_path / "outer.flags"
    outer.write_text(
        f"# a comment\n--flagfile={tmp_path}/inner.flags\n\n--width=0.25\n--epochs=30\n"
    )
    found = read("--epochs=20", f"--flagfile={outer}", "--seed=5")
    assert (found.run.seed, found.network.width, found.schedule.epochs) == (5, 0.25, 30)


def test_the_flagfiles_of_the_project_are_read_by_the_commands_in_their_heading(monkeypatch):
    """A flagfile without a command in its heading is a part of another one."""
    monkeypatch.chdir(ROOT)
    texts = {str(path): path.read_text() for path in Path("configs").glob("*.flags")}
    for path, text in texts.items():
        named = re.search(rf"python -m (\S+) --flagfile={path}", text)
        if named:
            read(f"--flagfile={path}", command=COMMANDS[named[1]])
        else:
            assert any(f"\n--flagfile={path}" in other for other in texts.values()), path


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--no_such_flag=1"], r"no_such_flag.*--help"),
        (["--seeds=1"], r"seeds.*--help"),
        (["--seed=-1"], r"--seed=-1 is out of range; .*between 0 and 4294967295"),
        (["--width=5"], r"--width=5\.0 is out of range; .*between 0\.0625 and 4\.0"),
        (["--width=nan"], r"--width=nan"),
        (["--seed=many"], r"seed=many"),
        (["--optimizer=lion"], r"optimizer=lion.*adam.*sgd"),
        (["--last_stride=3"], r"--last_stride=3 is not allowed; .*1, 2"),
        (["--decay_epochs=10,late"], r"--decay_epochs=10,late must be numbers"),
        (["--cells=2,1.5"], r"--cells=2,1\.5 must be whole numbers"),
        (["--progress=perhaps"], r"progress=perhaps"),
        (["--flagfile=no/such.flags"], r"no/such\.flags"),
        (["--seed"], r"seed"),
        (["search", "--seed=1"], r"no flags: search.*--name=value"),
        (["--epochs=5", "--warmup_epochs=5"], r"--warmup_epochs=5 leaves no epoch"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(arguments, message):
    with pytest.raises(BadInput, match=message):
        read(*arguments)


def _word(value) -> str:
    """As a flag takes it: a number without needless digits."""
    return value if isinstance(value, str) else f"{value:g}"


@every_command
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_flag_with_its_default(command, flag, capsys):
    with pytest.raises(SystemExit) as done:
        read(flag, command=command)
    assert done.value.code == 0
    text = capsys.readouterr().out
    for _, field in settings.fields(command):
        assert f"  --{field.name}" in text
        several = isinstance(field.default, tuple)
        default = ",".join(map(_word, field.default)) if several else str(field.default)
        described = text.split(f"  --{field.name}")[1].split("\n  --")[0]
        assert field.metadata["help"] in described
        assert default in described.split("Default:")[1]
        assert all(str(choice) in described for choice in field.metadata["choices"])


@pytest.mark.parametrize(
    "error, code, message",
    [
        (BadInput("--data_dir is empty."), 2, "error: --data_dir is empty."),
        (TrainingDiverged("triplet is nan"), 3, "error: triplet is nan"),
        (OSError(28, "No space left on device", "/disk/a"), 2, "No space left.*/disk/a"),
        (KeyboardInterrupt(), 130, "[Ii]nterrupted"),
    ],
    ids=["bad input", "diverged", "disk full", "Ctrl-C"],
)
def test_exit_codes(error, code, message, monkeypatch, capsys):
    """A sentence on the error stream, no traceback."""

    def main(_):
        raise error

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as done:
        command_line.run(main, settings.Demo)
    assert done.value.code == code
    shown = capsys.readouterr()
    assert re.search(message, shown.err) and "Traceback" not in shown.err + shown.out


def test_sigterm_unwinds_like_an_interruption(monkeypatch, capsys):
    """What must be cleaned up is; afterwards the signal does what it did before."""
    cleaned, before = [], signal.getsignal(signal.SIGTERM)

    def main(_):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append(True)

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as done:
        command_line.run(main, settings.Demo)
    assert done.value.code == 143 and cleaned
    assert "Interrupted by SIGTERM" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_bad_flags_end_with_code_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["command", "--seed=-1"])
    with pytest.raises(SystemExit) as done:
        command_line.run(lambda _: pytest.fail("must not run"), settings.Demo)
    assert done.value.code == 2
    assert "--seed=-1 is out of range" in capsys.readouterr().err


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    """Only what a person can mend is turned into a sentence."""

    def main(_):
        raise KeyError("a bug")

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(KeyError, match="a bug"):
        command_line.run(main, settings.Demo)


def python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_importing_the_package_imports_nothing_else():
    """Compared with an interpreter that did not import it."""
    code = (
        "import sys; before = set(sys.modules); import cmnas_tf; print(set(sys.modules) - before)"
    )
    assert python(code).strip() == "{'cmnas_tf'}"


def test_help_imports_nothing_heavy():
    """All doors in one interpreter, as ``python -m door --help`` runs them."""
    code = """
import contextlib, io, runpy, sys
for door in sys.argv[1:]:
    sys.argv = [door, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        runpy.run_module(door, run_name="__main__")
    assert "--" in text.getvalue(), door
print(*{module.split(".")[0] for module in sys.modules})
"""
    assert not set(python(code, *COMMANDS).split()) & HEAVY
