"""What a study says, from its ``study.md``: headings, sentences, tables and pictures."""

import re
from pathlib import Path

from cmnas_tf.errors import BadInput
from cmnas_tf.reading import read_bytes
from cmnas_tf.reports.page import Block, Figure, Section, Table

NAME = "study.md"


def sections(folder: Path) -> list[Section]:
    """A section for each heading.

    Raises:
      BadInput: a picture is missing.
    """
    found: dict[str, list[Block]] = {}
    rows: list[list[str]] = []
    title = ""
    for line in [*read_bytes(folder / NAME).decode(errors="replace").splitlines(), ""]:
        blocks = found.setdefault(title, [])
        if line.startswith("|"):
            rows.append([cell.strip(" `") for cell in line.strip("|").split("|")])
            continue
        if rows:
            blocks.append(Table(title, rows[0], rows[2:]))
            rows = []
        if heading := re.fullmatch(r"#+ (.*)", line):
            title = heading[1].replace("`", "")
        elif picture := re.fullmatch(r"!\[.*\]\((.*)\)", line):
            path = folder / Path(picture[1]).name
            if not path.is_file():
                raise BadInput(f"{path} is missing. Run the study again; it draws its pictures.")
            blocks.append(Figure(path.stem.replace("_", " "), read_bytes(path)))
        elif line:
            blocks.append(line.removeprefix("- ").replace("`", ""))
    return [Section(title, blocks) for title, blocks in found.items() if blocks]
