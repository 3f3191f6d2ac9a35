"""All commands by one name: the overview, what there is, and doors that lead to the same."""

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import cmnas_tf
from cmnas_tf import commands
from cmnas_tf.commands import cmnas
from cmnas_tf.commands.cmnas import COMMANDS, GROUPS
from cmnas_tf.commands.make_synthetic import MakeSynthetic
from cmnas_tf.errors import BadInput
from tests.commands.every import class_of, every_command

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ended(capsys):
    """Runs ``cmnas`` to its end; gives its exit code and its streams."""

    def run(*words):
        with pytest.raises(SystemExit) as done:
            cmnas.main(["cmnas", *words])
        return done.value.code, capsys.readouterr()

    return run


def test_every_command_is_listed_and_nothing_else():
    """A module with ``main`` and a class of options that no other command has."""
    modules = [importlib.import_module(f"cmnas_tf.commands.{found.name}")
               for found in pkgutil.iter_modules(commands.__path__)]  # fmt: skip
    takes = {
        module: [*inspect.signature(module.main).parameters.values()]
        for module in modules
        if hasattr(module, "main") and module is not cmnas
    }
    found = {parameters[0].annotation for parameters in takes.values()}
    assert all(len(parameters) == 1 for parameters in takes.values())
    assert found == {class_of(name) for name in COMMANDS}
    assert len(found) == len(COMMANDS) == sum(map(len, GROUPS.values()))


@every_command
def test_a_command_has_a_door_of_its_own(name):
    """``python -m cmnas_tf.NAME``, but for those that were called otherwise."""
    door = ROOT / "cmnas_tf" / f"{name}.py"
    if door.exists():
        assert f'run("{name}")' in door.read_text()
    else:
        assert name not in {"search", "train", "evaluate", "trials", "study", "prepare",
                            "make_synthetic", "import_weights", "demo"}  # fmt: skip


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)], ids=str)
def test_the_overview_lists_all(ended, words):
    code, said = ended(*words)
    assert (code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[:2] == ["cmnas COMMAND [--flag=value ...]", "cmnas COMMAND --help"]
    for title, group in GROUPS.items():
        first = lines.index(f"{title}:") + 1
        assert [line.split(maxsplit=1) for line in lines[first : first + len(group)]] == [
            [name, what] for name, what in group.items()
        ]
    assert max(map(len, lines)) <= 100


def test_the_version(ended):
    code, said = ended("--version")
    assert (code, said.out, said.err) == (0, f"{cmnas_tf.__version__}\n", "")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("serch", " Did you mean search?"),
        ("export-onnx", " Did you mean export_onnx"),
        ("trial", " Did you mean trials or train?"),
        ("xyzzy", ""),
        ("--recipe=small", ""),
    ],
)
def test_an_unknown_command(ended, word, meant):
    code, said = ended(word)
    assert (code, said.out) == (2, "")
    assert said.err.startswith(f"error: no command {word!r}.{meant}")
    assert "cmnas --help lists them" in said.err and said.err.count("\n") == 1


def test_a_command_is_run_with_the_words_behind_it(monkeypatch, tmp_path):
    """By ``cmnas NAME`` and by its door."""
    seen = []

    def main(command: MakeSynthetic):
        seen.append(command)

    monkeypatch.setattr("cmnas_tf.commands.make_synthetic.main", main)
    words = [f"--data_dir={tmp_path}", "--seed=3"]
    cmnas.main(["cmnas", "make_synthetic", *words])
    monkeypatch.setattr(sys, "argv", ["make_synthetic.py", *words])
    cmnas.run("make_synthetic")
    one, other = seen
    assert one == other
    assert (one.data_dir, one.people.seed) == (str(tmp_path), 3)


def test_what_is_wrong_is_said_by_the_command(ended, capsys):
    code, said = ended("make_synthetic", "--sed=3")
    assert code == 2
    assert said.err.startswith("\nerror: ") and "Did you mean: seed? See --help" in said.err


def test_a_plugin_that_fails_before_there_is_a_command(ended, monkeypatch):
    def load(name):
        raise BadInput("The plugin 'ours' cannot be imported.")

    monkeypatch.setattr(cmnas, "load", load)
    code, said = ended("train", "--help")
    assert (code, said.out) == (2, "")
    assert said.err == "error: The plugin 'ours' cannot be imported.\n"


@pytest.mark.parametrize(
    "words",
    [("-m", "cmnas_tf"), ("-m", "cmnas_tf", "train", "--help=all"), ("-m", "cmnas_tf.study", "-h")],
    ids=" ".join,
)
def test_a_reader_that_has_read_enough(words):
    """``| head``: it ends quietly when nobody reads on, before it writes and while it does."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == -13 or done.returncode == 141
    piped = subprocess.run(
        f"{sys.executable} {' '.join(words)} | head -n 1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert piped.returncode == 0 and piped.stderr == "" and piped.stdout.count("\n") == 1


def test_a_table_whose_reader_has_gone(tmp_path):
    """A command that has begun its work ends as quietly."""
    program = (
        "from cmnas_tf.commands import command_line\n"
        "from cmnas_tf.commands.demo import Demo\n"
        "command_line.run(lambda _: print('x' * 100000, flush=True), Demo, ['demo'])\n"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + 13, "")


def test_the_module_is_the_console_script():
    done = subprocess.run(
        [sys.executable, "-m", "cmnas_tf", "--version"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, cmnas_tf.__version__)
