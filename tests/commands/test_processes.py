"""A command in a process of its own: what it is asked, and what comes back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cmnas_tf.processes import run_command

ROOT = Path(__file__).parents[1]
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


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder of modules that can be run."""
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    monkeypatch.setenv("PYTHONPATH", path)
    (tmp_path / "waiting.py").write_text(WAITING)
    return tmp_path


def test_a_command_is_shown_and_run(modules, capfd):
    (modules / "echo.py").write_text("import sys; print(sys.argv[1:])")
    run_command("echo", "--a=b c", "--d")
    assert capfd.readouterr().out == "\n$ python -m echo '--a=b c' --d\n['--a=b c', '--d']\n"


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("raise SystemExit(2)", 2, "failed; see above"),
        ("raise SystemExit(3)", 3, "failed; see above"),
        ("raise SystemExit(130)", 130, "was stopped; the same command goes on"),
        ("import os; os.kill(os.getpid(), 15)", 143, "was stopped; the same command goes on"),
    ],
)
def test_its_exit_code_is_passed_on(modules, capsys, program, code, said):
    """What we say of it; threads of libraries that other tests used may write to the process's
    stderr beside it."""
    (modules / "ends.py").write_text(program)
    with pytest.raises(SystemExit) as ended:
        run_command("ends")
    assert ended.value.code == code
    assert capsys.readouterr().err == f"\npython -m ends {said}.\n"


@pytest.mark.parametrize(
    ("asked", "code", "passed_on"),
    [("SIGINT", 130, "SIGINT"), ("SIGTERM", 143, "SIGTERM"), ("SIGKILL", -9, "SIGTERM")],
)
def test_a_request_to_stop_is_passed_on(modules, asked, code, passed_on):
    """And a killed parent leaves no command behind. Reading ends when the last process that can
    write has ended."""
    program = "from cmnas_tf.processes import run_command; run_command('waiting', 'stopped')"
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=modules, stdout=subprocess.PIPE)
    while parent.stdout.readline() != b"waiting\n":
        pass
    parent.send_signal(signal.Signals[asked])
    parent.stdout.read()
    assert parent.wait() == code
    assert (modules / "stopped").read_text() == str(signal.Signals[passed_on].value)


def test_handlers_are_as_before(modules):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    (modules / "nothing.py").touch()
    run_command("nothing")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
