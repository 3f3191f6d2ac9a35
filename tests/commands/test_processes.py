"""A command in a process of its own: what it is asked, and what comes back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cmnas_tf.commands.processes import run_command, start_command

ROOT = Path(__file__).parents[2]
REAL = sys.executable
# Says when it is there, and ends when it is asked to; the file is there when it did.
WAITING = """
import pathlib, signal, sys

def stop(number, _):
    pathlib.Path(sys.argv[1]).write_text(str(number))
    sys.exit(128 + number)

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
print("waiting", flush=True)
while True:
    signal.pause()
"""
# In the place of Python, which is asked for ``-m cmnas_tf NAME``: runs NAME.py of a test.
PYTHON = """#!/bin/sh
test "$1 $2" = "-m cmnas_tf" || exit 99
name=$3
shift 3
exec "{python}" "{folder}/$name.py" "$@"
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder of programs that stand for commands."""
    file = tmp_path / "python"
    file.write_text(PYTHON.format(python=sys.executable, folder=tmp_path))
    file.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(file))
    (tmp_path / "waiting.py").write_text(WAITING)
    return tmp_path


def test_a_command_is_shown_and_run(programs, capfd):
    """As it could be typed."""
    (programs / "echo.py").write_text("import sys; print(sys.argv[1:])")
    run_command("echo", "--a=b c", "--d")
    shown = "\n$ python -m cmnas_tf echo '--a=b c' --d\n['--a=b c', '--d']\n"
    assert capfd.readouterr().out == shown


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("raise SystemExit(2)", 2, "failed; see above"),
        ("raise SystemExit(3)", 3, "failed; see above"),
        ("raise SystemExit(130)", 130, "was stopped; rerun to resume"),
        ("import os; os.kill(os.getpid(), 15)", 143, "was stopped; rerun to resume"),
    ],
)
def test_its_exit_code_is_passed_on(programs, capsys, program, code, said):
    """What we say of it; threads of libraries that other tests used may write to the process's
    stderr beside it."""
    (programs / "ends.py").write_text(program)
    with pytest.raises(SystemExit) as ended:
        run_command("ends")
    assert ended.value.code == code
    assert capsys.readouterr().err == f"\ncmnas ends {said}.\n"


@pytest.mark.parametrize(
    ("asked", "code", "passed_on"),
    [("SIGINT", 130, "SIGINT"), ("SIGTERM", 143, "SIGTERM"), ("SIGKILL", -9, "SIGTERM")],
)
def test_a_request_to_stop_is_passed_on(programs, asked, code, passed_on):
    """And a killed parent leaves no command behind. Reading ends when the last process that can
    write has ended."""
    program = (
        f"import sys; sys.executable = {sys.executable!r}\n"
        "from cmnas_tf.commands.processes import run_command; run_command('waiting', 'stopped')"
    )
    parent = subprocess.Popen(
        [REAL, "-c", program],
        cwd=programs,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    while parent.stdout.readline() != b"waiting\n":
        pass
    parent.send_signal(signal.Signals[asked])
    parent.stdout.read()
    assert parent.wait() == code
    assert (programs / "stopped").read_text() == str(signal.Signals[passed_on].value)


def test_handlers_are_as_before(programs):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    (programs / "nothing.py").touch()
    run_command("nothing")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_what_a_started_command_says_and_what_it_is_told(programs, tmp_path):
    """To a file, both of its streams; variables beside those of this process."""
    (programs / "tell.py").write_text(
        "import os, sys; print(os.environ['MINE'], os.environ['HOME'], sys.argv[1:]);"
        "print('beside', file=sys.stderr)"
    )
    with (tmp_path / "log").open("wb") as log:
        process = start_command("tell", "--a", output=log, environment={"MINE": "3"})
        assert process.wait() == 0
    lines = set((tmp_path / "log").read_text().splitlines())
    assert lines == {f"3 {os.environ['HOME']} ['--a']", "beside"}


def test_it_is_this_very_program():
    """``python -m cmnas_tf NAME``, of the interpreter that runs this one."""
    process = start_command("--version", output=subprocess.DEVNULL)
    assert process.args[:3] == [sys.executable, "-m", "cmnas_tf"]
    assert process.wait() == 0
