"""The shape of the house: who imports from whom, and who knows what a flag is."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cmnas_tf"

# From the ground up. Rooms of one floor do not import each other.
FLOORS = (
    ("ground",),
    ("layers", "losses"),
    ("models", "data"),
    ("retrieval", "search_spaces", "weights", "devices"),
    ("runs",),
    ("training",),
    ("searching",),
    ("evaluation",),
    ("serving", "studies"),
    ("reports",),
    ("commands",),
    ("doors",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
DOORS = {"__init__", "__main__", "search", "train", "evaluate", "trials", "study", "prepare"}
DOORS |= {"make_synthetic", "import_weights", "demo"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "configs" not in path.parts)


def room_of(module: str) -> str:
    """The room of ``cmnas_tf.room.file``, of a file on the ground, or of a door."""
    name = module.split(".")[1] if "." in module else "__init__"
    if (PACKAGE / name).is_dir():
        return name
    return "doors" if name in DOORS else "ground"


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imports_of(path: Path) -> list[str]:
    """All modules of the package that a file imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            found += [
                f"{node.module}.{alias.name}"
                if _is_module(node.module, alias.name)
                else node.module
                for alias in node.names
            ]
    return [name for name in found if name.split(".")[0] == "cmnas_tf"]


def _is_module(package: str | None, name: str) -> bool:
    folder = ROOT.joinpath(*str(package).split("."))
    return (folder / f"{name}.py").is_file() or (folder / name).is_dir()


def test_every_room_has_a_floor():
    rooms = {room_of(module_of(path)) for path in FILES}
    assert rooms == {room for rooms in FLOORS for room in rooms}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_from_lower_floors_and_its_own_room_only(path):
    own = room_of(module_of(path))
    if path == PACKAGE / "__init__.py":  # names what it loads when that is asked for
        return
    for module in imports_of(path):
        room = room_of(module)
        if module == "cmnas_tf":  # its version
            continue
        assert room == own or FLOOR_OF[room] < FLOOR_OF[own], f"{own} imports {module}"


def test_no_two_files_import_each_other():
    """By what is imported when a file is; an import within a function comes later."""
    graph = {module_of(path): _at_the_top(path) for path in FILES}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join([*above, module])
        if module not in done:
            for imported in graph.get(module, ()):
                visit(imported, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def _at_the_top(path: Path) -> set[str]:
    """Modules that are imported with the file; that of its own package is begun already."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("cmnas_tf"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if _is_module(node.module, alias.name) else str(node.module))
    own = module_of(path)
    return {name for name in found if not own.startswith(f"{name}.") and name != own}


def test_nothing_below_the_commands_mentions_a_flag():
    """Nor how a command is started: what is wrong is said of a parameter there."""
    flag = re.compile(r"(?<![\w-])--[a-z]\w+|python -m |\bcmnas [a-z]+_?[a-z]+\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in FILES
        if room_of(module_of(path)) not in ("commands", "doors")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if flag.search(line) and "_git(" not in line and '"git"' not in line  # which has its own
    ]
    assert not found, "\n".join(found)


def test_a_library_does_not_print():
    """It logs; what a person reads is printed by the commands."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        if room_of(module_of(path)) not in ("commands", "doors")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    ]
    assert not found
