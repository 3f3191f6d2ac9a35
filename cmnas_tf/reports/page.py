"""The page: sections of charts, pictures and tables in one HTML file that needs no network."""

import base64
import importlib.resources
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cmnas_tf.charts import VERSION, Chart
from cmnas_tf.extras import needing
from cmnas_tf.files import write_text


@dataclass(frozen=True)
class Figure:
    """A chart or a picture, below a title that says what it shows."""

    title: str  # what one sees in it
    drawn: Chart | bytes  # a chart, or the bytes of a JPEG
    note: str = ""  # how to read it


@dataclass(frozen=True)
class Table:
    """Rows below a head; of numbers in words. Folded away until it is asked for, if ``folded``."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclass(frozen=True)
class Cell:
    """Nodes in a row, and edges between them: places of a source and a node, and an operation."""

    title: str
    nodes: Sequence[str]
    edges: Sequence[tuple[int, int, str]]


Block = Figure | Table | Cell | str  # a sentence


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
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    page = environment.from_string(template.read_text(encoding="utf-8"))
    code = vl_convert.javascript_bundle(vl_version=VERSION)  # type: ignore[call-arg]
    write_text(path, page.render(title=title, sections=sections, code=code))
