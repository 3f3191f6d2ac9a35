"""What ``--help`` prints, and what is imported for it."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cmnas_tf.commands import command_line
from cmnas_tf.commands.help import help_text, print_and_end
from cmnas_tf.commands.search import Search
from cmnas_tf.commands.study import StudyCommand
from cmnas_tf.commands.train import Train
from cmnas_tf.commands.words import in_flags, shown
from tests.commands.every import RESEARCH, class_of, every_command

ROOT = Path(__file__).parents[2]
HEAVY = {"tensorflow", "keras", "official", "tensorflow_addons", "tensorboard"}
HEAVY |= {"cv2", "PIL", "matplotlib", "scipy", "pandas", "h5py", "rich"}
# Anything of ours, or a word of a language; what is between backquotes is neither.
MARKS = re.compile(r"`|:class:|:meth:|:func:|\*\*")


def entries_of(text):
    """``{option: (what stands on its line, what is said of it)}``, in their order."""
    found = re.findall(r"^  --([\w.]+)(.*)\n((?:      .*\n?)*)", f"{text}\n", re.M)
    return {name: (form, " ".join(said.split())) for name, form, said in found}


@pytest.fixture
def printed(capsys):
    """What a command prints when it is asked for help."""

    def run(command, *words):
        with pytest.raises(SystemExit) as done:
            command_line.read(command, ["command", *words])
        said = capsys.readouterr()
        assert (done.value.code, said.err) == (0, "")
        return said.out.rstrip("\n")

    return run


@every_command
def test_everything_is_listed_once_with_its_form_its_words_and_its_default(name, printed):
    command = class_of(name)
    text = printed(command, "--help=all")
    assert text == help_text(command, everything=True) == printed(command, "--helpfull")
    entries, options = entries_of(text), command.options()
    assert sorted(entries) == sorted(known.name for known in options)
    assert len(re.findall(r"^  --", text, re.M)) == len(options)
    for known in options:
        form, said = entries[known.name]
        assert said.startswith(" ".join(in_flags(known.help, options).split())), known.name
        for choice in known.choices:
            assert str(choice) in form.removeprefix("=").split("|")
        for bound in {known.minimum, known.maximum} - {None}:
            assert str(bound) in form
        default = said.partition(" Default: ")[2]
        if known.required:
            assert default == ""
        elif not isinstance(known.default, bool) and known.default in ("", ()):
            assert default == "none."
        else:
            assert default == f"{shown(known.default)}." != "."


@every_command
def test_what_most_people_never_touch_is_left_to_the_whole_help(name, printed):
    command = class_of(name)
    short, options = printed(command, "--help"), command.options()
    assert short == help_text(command, everything=False) == printed(command, "-h")
    listed = [known.name for known in options if known.required or not known.advanced]
    assert sorted(entries_of(short)) == sorted(listed)
    hidden = len(options) - len(listed)
    last = short.splitlines()[-1]
    flags = "flag" if hidden == 1 else "flags"
    assert last == f"{hidden} more {flags}: --help=all" if hidden else "more flag" not in short


@every_command
def test_what_is_needed_comes_first(name):
    command = class_of(name)
    needed = [known.name for known in command.options() if known.required]
    text = help_text(command)
    assert ("Required:" in text.splitlines()) == bool(needed)
    assert list(entries_of(text))[: len(needed)] == needed


@every_command
def test_it_reads_well(name):
    """Lines that fit, no marks of code, sentences; and what it says of options are flags."""
    command = class_of(name)
    text = help_text(command)
    assert all(len(line) <= 100 or _cannot_be_broken(line) for line in text.splitlines())
    assert not MARKS.search(text)
    first = text.splitlines()[0]
    assert first[0].isupper() and first.endswith((".", ",", ":"))
    for option, (_, said) in entries_of(text).items():
        assert re.search(r"\.( \[(code|pub)\])?( Default: .*\.)?$", said), option


def _cannot_be_broken(line):
    """Whether it is a list of choices, or a value that is longer than a line."""
    return line.startswith("  --") or len(line.split()) == 1


def test_options_that_others_name_are_flags():
    """With their prefix, where they have one."""
    text = entries_of(help_text(Train))["schedule"][1]
    assert "at --decay_epochs [code]" in text
    text = entries_of(help_text(StudyCommand))["search.schedule"][1]
    assert "at --search.decay_epochs [code]" in text


def test_what_a_command_says_of_itself():
    """In flags; and what its marks mean, where there are any."""
    text = help_text(class_of("evaluate"), everything=False)
    assert "It needs --data_dir, and --run_dir or --checkpoint." in text
    for command in (Train, class_of("evaluate"), class_of("demo")):
        for everything in (False, True):
            text = help_text(command, everything)
            before, legend, _ = text.partition("[pub], [code]: as the authors have it in")
            assert bool(legend) == bool(re.search(r"\[(pub|code)\]", before))
    assert "\nOptional:\n  --run_dir" in help_text(class_of("demo"))


def test_most_of_a_search_is_not_for_newcomers():
    """What they see fits two screens; so does a training's."""
    for command in (Search, Train):
        listed = entries_of(help_text(command, everything=False))
        assert len(listed) < 0.6 * len(command.options())
        assert {"recipe", "epochs", "initial_weights", "precision"} <= set(listed)


def python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_nothing_else():
    """But for a few modules of Python; compared with an interpreter that did not import it."""
    code = (
        "import sys; before = set(sys.modules); import cmnas_tf; print(*set(sys.modules) - before)"
    )
    found = set(python(code).split())
    assert {name for name in found if name.split(".")[0] not in sys.stdlib_module_names} == {
        "cmnas_tf"
    }


def test_help_imports_nothing_heavy():
    """All in one interpreter, by the doors and by the one name; and the overview."""
    code = """
import contextlib, importlib.util, io, runpy, sys
names = sys.argv[1:]
def helped(module, *words):
    sys.argv = [module, *words, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        runpy.run_module(module, run_name="__main__")
    assert "--" in text.getvalue(), (module, words)
helped("cmnas_tf")
for name in names:
    if importlib.util.find_spec(f"cmnas_tf.{name}"):  # newer commands have no door of their own
        helped(f"cmnas_tf.{name}")
    helped("cmnas_tf", name)
print(*{module.split(".")[0] for module in sys.modules})
"""
    assert not set(python(code, *RESEARCH).split()) & HEAVY


@every_command
def test_nor_does_reading_the_options(name):
    """Of any command: what it needs is imported once it knows what to do."""
    code = (
        "import sys; from cmnas_tf.commands.cmnas import load; "
        "load(sys.argv[1])[1].options(); "
        "print(*{module.split('.')[0] for module in sys.modules})"
    )
    assert not set(python(code, name).split()) & HEAVY


def test_a_process_that_shows_help_still_hears_of_closed_connections(capsys):
    """As an error: the signal would end all its threads, a server's too."""
    with pytest.raises(SystemExit) as ended:
        print_and_end("help")
    assert ended.value.code == 0 and capsys.readouterr().out == "help\n"
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
