"""What a study says: its ``study.md``, with the charts of its ``study.json``."""

import re
from pathlib import Path

from cmnas_tf.charts import Chart
from cmnas_tf.errors import BadInput
from cmnas_tf.reading import read_bytes, read_json
from cmnas_tf.reports.page import Block, Figure, Section, Table
from cmnas_tf.studies.charts import charts_of

NAME, FINDINGS = "study.md", "study.json"


def sections(folder: Path) -> list[Section]:
    """The answers, the charts, then a section for each other heading.

    Raises:
      BadInput: the findings are damaged.
      FileNotFoundError: they are missing.
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
        elif line and not line.startswith(("![", "There are no pictures")):
            blocks.append(line.removeprefix("- ").replace("`", ""))
    told = [Section(title, blocks) for title, blocks in found.items() if blocks]
    charts = [Figure(chart.pop("title"), chart) for chart in read_charts(folder / FINDINGS)]
    return [*told[:1], Section("In pictures", charts), *told[1:]] if charts else told


def read_charts(file: Path) -> list[Chart]:
    """Those of a ``study.json``; BadInput: it is damaged."""
    advice = "Run the study again; it writes it anew."
    found = read_json(file, dict, "what a study found", advice)
    try:
        return list(charts_of(found).values())
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{file} is not what a study found ({error!r}). {advice}") from error
