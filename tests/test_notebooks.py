"""The notebooks of the documents: as they are printed, and run again."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)


def code(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def printed(cell):
    return "".join("".join(output.get("text", "")) for output in cell["outputs"])


def test_there_are_some():
    assert {"tutorial.ipynb", "tutorial_parts.ipynb"} <= {path.name for path in NOTEBOOKS}


@each_notebook
def test_it_was_run_from_the_first_cell_to_the_last(notebook):
    assert [cell["execution_count"] for cell in code(notebook)] == [
        number for number, _ in enumerate(code(notebook), start=1)
    ]
    for cell in code(notebook):
        assert not [each for each in cell["outputs"] if each["output_type"] == "error"]
        assert not [each for each in cell["outputs"] if each.get("name") == "stderr"]


@each_notebook
def test_it_names_no_folder_of_the_machine_that_ran_it(notebook):
    assert not re.findall(r"/(?:home|root|tmp|work|Users)/", notebook.read_text())


@each_notebook
def test_its_links_lead_somewhere(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (notebook.parent / target).is_file(), target


@pytest.mark.slow
@each_notebook
def test_it_runs(notebook):
    """Each cell, and prints as many lines as before; numbers depend on the machine."""
    pytest.importorskip("nbclient")
    from docs.notebooks import run

    again = [cell for cell in run(notebook).cells if cell.cell_type == "code"]
    for before, now in zip(code(notebook), again, strict=True):
        assert len(printed(now).splitlines()) == len(printed(before).splitlines()), now.source
        assert [each.output_type for each in now.outputs] == [
            each["output_type"] for each in before["outputs"]
        ]
