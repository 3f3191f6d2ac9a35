"""What is seen of what goes on: in a terminal, and where there is none."""

import io
import logging
import re
import sys

import pytest

from cmnas_tf import progress
from cmnas_tf.progress import progress_bar

CODES = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Gives a terminal of 60 columns as standard error; in the test, since pytest sets its own."""
    for name, value in (("TERM", "xterm-256color"), ("COLUMNS", "60"), ("LINES", "24")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(progress, "_LIVELY", 0.0)

    def given():
        stderr = Terminal()
        monkeypatch.setattr("sys.stderr", stderr)
        return stderr

    return given


def searched(stderr, words="loss 1.25"):
    """What a terminal is sent of a search of two stages."""
    with progress_bar(4, "step", True) as bar:
        bar.update()
        bar.title, bar.words = "epoch 1/2", words
        bar.leanings = {"stem": 0.5, "layer1.0.bn1": 0.99, "layer1.0.bn2": 0.0}
        bar.update()
    return stderr.getvalue()


def test_a_terminal_shows_bar_terms_and_a_row_of_leanings_for_each_stage(terminal):
    seen = searched(terminal())
    last = CODES.sub("", seen).split("\r")[-1].splitlines()
    assert re.match(r"epoch 1/2 [━╸╺ ]+ 2/4 0:00:00<0:00:00 \d+\.\d\d step/s", last[0])
    assert [line.rstrip() for line in last[1:4]] == ["loss 1.25", "stem   ▅", "layer1 █▁"]
    assert "\x1b[1A" in seen, "it is not redrawn in place"
    assert re.search(r"\x1b\[38;5;\d+m█", seen), "it has no colour"


def test_no_color_is_heeded(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[38" not in searched(terminal())


def test_names_are_shown_and_not_obeyed(terminal):
    seen = searched(terminal(), "[red]term[/red] \x1b[2J")
    assert "[red]term[/red] \\x1b[2J" in seen and "\x1b[2J" not in seen


def test_what_is_logged_meanwhile_stands_above(terminal, monkeypatch):
    stderr = terminal()
    handler = logging.StreamHandler()
    monkeypatch.setattr(logging.getLogger("cmnas_tf"), "handlers", [handler])
    with progress_bar(2, "step", True) as bar:
        bar.update()
        logging.getLogger("cmnas_tf").warning("a note")
        bar.update()
    assert handler.stream is stderr
    lines = CODES.sub("", stderr.getvalue()).splitlines()
    assert "a note" in [line.rstrip() for line in lines]


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_elsewhere_it_is_a_line_now_and_then(term, monkeypatch, capsys):
    monkeypatch.setenv("TERM", term)
    if term == "dumb":
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar(4, "step", True, initial=2) as bar:
        bar.title, bar.words = "epoch 1/2", "loss \x1b[2J"
        bar.leanings = {"stem": 0.5}
        bar.update()
        monkeypatch.setattr(progress, "_PLAIN", 0.0)
        bar.update()
    first, *between, last = capsys.readouterr().err.splitlines()
    assert not between
    assert first == "|########        | 2/4 0:00:00"
    assert re.fullmatch(
        r"epoch 1/2 \|#{16}\| 4/4 0:00:00<0:00:00 \d+\.\d\d step/s loss \\x1b\[2J", last
    )


def test_of_nothing_and_by_nobody(capsys):
    with progress_bar(0, "image", True):
        pass
    assert capsys.readouterr().err
    with progress_bar(1, "image", False) as bar:
        bar.update()
    assert capsys.readouterr().err == ""
