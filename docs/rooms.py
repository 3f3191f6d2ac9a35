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
    """An SVG: a row and a column for each room, from the top floor down."""
    found = imports()
    heights = floors(found)
    rooms = sorted(heights, key=lambda room: (-heights[room], room))
    places = {room: 40 + 24 * number for number, room in enumerate(rooms)}
    drawn = [_text(10, 16, "floor"), _text(60, 16, "room")]
    for row, y in places.items():
        number = rooms.index(row) + 1
        drawn += [_text(20, y, heights[row]), _text(60, y, f"{number} {row}")]
        drawn.append(_text(150 + y, 16, number))
        drawn += [
            f'<circle cx="{155 + places[other]}" cy="{y - 4}" r="5" fill="#0072B2">'
            f"<title>{row} imports {other}</title></circle>"
            for other in found[row]
        ]
    side = 24 * len(rooms) + 50
    lines = "".join(f"M10 {y + 8}H{side + 130}" for y in places.values())
    drawn.append(f'<path d="{lines}" stroke="currentColor" opacity=".2"/>')
    box = f'viewBox="0 0 {side + 140} {side}" role="img" aria-label="who imports whom"'
    return f'<svg {box} font-size="13" fill="currentColor">{"".join(drawn)}</svg>'


def _text(x: int, y: int, text: object) -> str:
    return f'<text x="{x}" y="{y}">{text}</text>'
