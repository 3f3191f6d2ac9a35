"""The drawing of the package, from what its files import: a hook of MkDocs."""

import re
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

from mkdocs.structure.pages import Page

import cmnas_tf

PACKAGE = Path(cmnas_tf.__file__).parent
IMPORT = re.compile(r"^\s*(?:from|import) cmnas_tf\.(\w+)", re.MULTILINE)
GROUND = "ground"


def imports() -> dict[str, set[str]]:
    """By each room the rooms that its files import; files outside of rooms are the ground."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        first, *inner = path.relative_to(PACKAGE).parts
        room = first if inner else GROUND
        names = IMPORT.findall(path.read_text(encoding="utf-8"))
        found[room] |= {name if (PACKAGE / name).is_dir() else GROUND for name in names} - {room}
    found[GROUND] = set()  # the doors, which lie there too, only start commands
    return found


def floors(found: dict[str, set[str]]) -> dict[str, int]:
    """How high each room lies: one above the highest that it imports."""
    heights: dict[str, int] = {}
    for room in TopologicalSorter(found).static_order():
        heights[room] = max((heights[below] + 1 for below in found[room]), default=0)
    return heights


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Puts the drawing in the place that the page leaves for it."""
    return markdown.replace("<!-- drawing of the imports -->", _drawing())


def _drawing() -> str:
    found = imports()
    heights = floors(found)
    rooms = sorted(heights, key=lambda room: (-heights[room], room))
    lines = [["floor", "room", *(str(number) for number in range(1, len(rooms) + 1))]]
    lines.append(["--:", "---", *[":-:"] * len(rooms)])
    for number, room in enumerate(rooms, start=1):
        marks = ["●" if other in found[room] else "" for other in rooms]
        lines.append([str(heights[room]), f"{number} `{room}`", *marks])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
