"""What lies where in the folder of a run is said in one place."""

import ast
from pathlib import Path

import pytest

import cmnas_tf

PACKAGE = Path(cmnas_tf.__file__).parent
HOME = PACKAGE / "runs" / "run_folder.py"
NAMES = {
    "architecture.cfg",
    "architecture.json",
    "architectures",
    "candidates",
    "checkpoints",
    "fitness.json",
    "latency.json",
    "results",
    "results.json",
    "run.json",
    "run.lock",
    "split.json",
    "tensorboard",
}
# Files of other folders that have such a name: of a cell of a study, and what is usual for a space
# besides. The architecture's is a constant of ``architecture``, since it lies in other folders too.
OTHERS = {
    ("studies/plan.py", "results.json"),
    ("search_spaces/norm_space.py", "architecture.cfg"),
}
_OF_PATHS = {"Path", "glob", "rglob", "joinpath", "with_name", "RunFolder"}


def path_literals(source):
    """The strings of a module that are put into a path: beside a ``/``, or given to a method."""
    for node in ast.walk(ast.parse(source)):
        given = []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            given = [node.left, node.right]
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
            given = [node.value]
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            given = node.args if name in _OF_PATHS else []
        for part in given:
            for inner in ast.walk(part):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.value


def names_in(source):
    """Those of :data:`NAMES` among them, however deep in a path."""
    return {part for text in path_literals(source) for part in text.split("/") if part in NAMES}


def test_such_literals_are_found():
    """Or the test below would say nothing."""
    source = (
        '"""Writes ``run.json``."""\n'
        'a = folder / "checkpoints"\n'
        'b = Path(f"{folder}/architecture.json")\n'
        'folder /= "tensorboard"\n'
        'c = folder.glob("candidates/*/fitness.json")\n'
        'd = {"results.json": "latency.json"}\n'
        'raise BadInput("give the split.json")\n'
    )
    assert names_in(source) == {
        *("checkpoints", "architecture.json", "tensorboard", "candidates", "fitness.json"),
    }
    assert names_in(HOME.read_text(encoding="utf-8")) == NAMES - {
        "architecture.cfg",
        "architecture.json",
    }


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_they_are_in_the_file_of_the_run_folder_alone(path):
    if path == HOME:
        return
    name = path.relative_to(PACKAGE).as_posix()
    found = {(name, literal) for literal in names_in(path.read_text(encoding="utf-8"))}
    assert found <= OTHERS


def test_no_exception_is_left_over():
    for name, literal in OTHERS:
        assert literal in names_in((PACKAGE / name).read_text(encoding="utf-8"))
