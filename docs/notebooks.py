"""Runs the notebooks of the documents and keeps what they print and draw: ``make notebooks``.

Each is run in a folder of its own that is removed afterwards. It needs the extras ``docs``,
``report`` and ``serving``.
"""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

SECONDS = 1800  # that one cell may take


def run(notebook: Path) -> nbformat.NotebookNode:
    """The notebook as it is after all of its cells were run.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell failed.
    """
    read = nbformat.read(notebook, as_version=4)
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(read, timeout=SECONDS, resources={"metadata": {"path": folder}})
        client.execute(env=environment)
    for cell in read.cells:
        cell.metadata.pop("execution", None)  # when it was run
    return read


def main() -> None:
    """Runs them all."""
    for notebook in sorted(Path(__file__).parent.glob("*.ipynb")):
        done = run(notebook)
        nbformat.write(done, notebook)
        print(f"ran {notebook}")


if __name__ == "__main__":
    main()
