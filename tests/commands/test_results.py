"""``cmnas results``: one table of several runs, in four forms, and two of them side by side."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cmnas_tf.commands import command_line, results
from cmnas_tf.commands.results import Results
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.results_file import keep
from cmnas_tf.runs.run_folder import RunFolder
from tests.evaluation.records import record

EARLIER = Path(__file__).parents[1] / "earlier_version"


@pytest.fixture
def runs(tmp_path):
    """Two runs, of which the first was measured twice."""
    keep(record(), RunFolder(tmp_path / "a"))
    keep(record({("evaluation", "settings", "weights"): "live"}), RunFolder(tmp_path / "a"))
    keep(record({("training", "planned_steps"): 532}), RunFolder(tmp_path / "b"))
    return str(tmp_path / "a"), str(tmp_path / "b")


@pytest.fixture
def run(capsys):
    """Runs the command; gives what it printed."""

    def run(*words):
        results.main(command_line.read(Results, ["results", *words]))
        return capsys.readouterr().out

    return run


def test_one_table_of_all(run, runs):
    lines = run(*runs).splitlines()
    assert len(lines) == 2 + 6
    assert lines[0].split()[:4] == ["run", "measured", "on", "setting"]
    assert lines[2].startswith(f"{runs[0]}  regdb, trial 1 ")
    assert lines[2].split()[-7:] == ["50.00", "60.00", "70.00", "80.00", "45.00", "30.00", "0"]
    assert sum("10 of 532, unfinished" in line for line in lines) == 2
    assert run(f"--runs={','.join(runs)}") == run(*runs) == run("--table_format=text", *runs)


def test_other_forms(run, runs):
    """As tables of a paper, of a web page and of a spreadsheet."""
    table = list(csv.reader(run(*runs, "--table_format=csv").splitlines()))
    assert len(table) == 1 + 6 and {len(line) for line in table} == {11}
    assert run(*runs, "--table_format=markdown").startswith("| run ")
    latex = run(*runs, "--table_format=latex")
    assert "\\toprule" in latex and "visible\\_to\\_infrared" in latex


@pytest.mark.parametrize("form", ["text", "markdown", "latex", "csv"])
def test_what_a_terminal_would_obey_is_escaped(run, form, tmp_path):
    keep(record(), RunFolder(tmp_path / "a\x1b[31m\x07"))
    said = run(str(tmp_path / "a\x1b[31m\x07"), f"--table_format={form}")
    assert said.replace("\n", "").isprintable() and "x1b" in said


def test_results_of_an_earlier_version(run):
    """By a run's folder and by the file."""
    folder = EARLIER / "train_finished"
    found = json.loads((folder / "results.json").read_text())["results"]["all_single_shot"]
    line = run(str(folder)).splitlines()[-1]
    assert line.split()[1:3] == ["sysu_mm01", "all_single_shot"]
    assert f"{100 * found['mAP']:.2f}" in line
    assert run(str(folder / "results.json")).split()[-9:] == line.split()[-9:]
    trial = EARLIER / "trials" / "trial_02"
    assert "regdb, trial 2" in run(str(trial))


def test_two_side_by_side(run, runs):
    said = run("--side_by_side", *runs)
    assert said.startswith(f"A  {runs[0]}/results/regdb-trial_1-step_10-")
    assert said.endswith("nothing differs\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Give one or more `runs` or files"),
        (["none"], "none does not exist"),
        ([str(EARLIER)], r"earlier_version/results\.json does not exist"),
        (["--side_by_side", "a"], "Give two `runs` or files of results. Received 1"),
    ],
)
def test_what_is_refused(run, words, message):
    with pytest.raises(BadInput, match=message):
        run(*words)


def test_it_needs_no_tensorflow(runs):
    program = (
        "import sys; from cmnas_tf.commands import cmnas; cmnas.run('results', sys.argv);"
        "assert not {'tensorflow', 'keras', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *runs],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "unfinished" in done.stdout
