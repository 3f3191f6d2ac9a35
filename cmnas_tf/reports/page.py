"""The page: sections of charts, pictures and tables in one HTML file that needs no network."""

import base64
import importlib.resources
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cmnas_tf.charts import VERSION, Chart
from cmnas_tf.extras import needing
from cmnas_tf.files import write_text


@dataclass(frozen=True)
class Figure:
    """A chart or a picture, below a title that says what it shows.

    Attributes:
      title: what one sees in it.
      drawn: a chart, or the bytes of a PNG.
      note: how to read it.
    """

    title: str
    drawn: Chart | bytes
    note: str = ""

    @property
    def chart(self) -> str:
        """The chart as JSON that may stand in a page; empty of a picture."""
        return "" if isinstance(self.drawn, bytes) else _in_page(self.drawn)

    @property
    def picture(self) -> str:
        """The picture as text."""
        return base64.b64encode(self.drawn).decode() if isinstance(self.drawn, bytes) else ""


@dataclass(frozen=True)
class Table:
    """Rows below a head; of numbers in words. Folded away until it is asked for, if ``folded``."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclass(frozen=True)
class Graph:
    """Nodes in a row with edges between them, each as (place of its source, its own, name)."""

    title: str
    nodes: Sequence[str]
    edges: Sequence[tuple[int, int, str]]
    note: str = ""


Block = Figure | Table | Graph | str  # a sentence


@dataclass(frozen=True)
class Section:
    """Part of a page."""

    title: str
    blocks: Sequence[Block]


def write_page(path: str | os.PathLike[str], title: str, sections: Sequence[Section]) -> None:
    """Writes the page, whole or not at all; whatever names hold, they are shown and not obeyed.

    Raises:
      BadInput: the extra ``report`` is not installed.
    """
    with needing("report"):
        import jinja2
        import vl_convert
    template = importlib.resources.files("cmnas_tf.reports").joinpath("page.html")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["kind"] = lambda block: type(block).__name__
    page = environment.from_string(template.read_text(encoding="utf-8"))
    code = vl_convert.javascript_bundle(vl_version=VERSION)  # type: ignore[call-arg]
    write_text(path, page.render(title=title, sections=sections, code=code))


def _in_page(value: Any) -> str:
    """JSON without what could end the element it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
