"""Charts, as Vega-Lite says them, JSON-ready: a browser draws them and shows what lies under the
pointer, :func:`png` draws pictures. Colours are those of M. Okabe and K. Ito, "Color Universal
Design"."""

from collections.abc import Iterable, Mapping
from typing import Any

from cmnas_tf.extras import needing

Chart = dict[str, Any]
Rows = Iterable[Mapping[str, Any]]

BLUE, ORANGE, GREY, LINES = "#0072B2", "#D55E00", "#767676", "#e6e6e6"
VERSION = "6.4"  # of Vega-Lite
_LOOKS = {
    "font": "system-ui, Liberation Sans, sans-serif",  # the second comes with what draws pictures
    "padding": 12,
    "view": {"stroke": None},
    "axis": {"gridColor": LINES, "labelLimit": 260, "titleFontWeight": "normal"},
    "range": {"category": [BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]},
    "legend": {"labelLimit": 320},
    "tooltipFormat": {"numberFormat": ".6~r"},
}


def chart(*layers: Chart, **more: Any) -> Chart:
    """A chart of layers, the last one on top; ``more`` is of the chart, such as its ``height``."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": _LOOKS,
        "layer": list(layers),
        "width": 640,
        **more,
    }


def layer(values: Rows, mark: Any, encoding: Mapping[str, Any]) -> Chart:
    """Marks for the rows of a table, each row a mapping.

    Args:
      encoding: which column is what of a mark, by :func:`number` and :func:`words`; these are also
        in the tooltip, unless it says another ``tooltip``.
    """
    shown = [{"field": e["field"], "title": e["title"]} for e in encoding.values() if "title" in e]
    return {
        "data": {"values": list(values)},
        "mark": mark,
        "encoding": {"tooltip": shown, **encoding},
    }


def number(field: str, title: str, **more: Any) -> Chart:
    """A column of numbers."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def words(field: str, title: str, **more: Any) -> Chart:
    """A column of words, in the order of the rows."""
    return {"field": field, "type": "nominal", "title": title, "sort": None, **more}


def decisions(
    by: Mapping[Any, Mapping[str, float]], column: str, even: float = 0.5, **more: Any
) -> Chart:
    """How much a search was for each decision, 0..1, by epoch or seed: blue is above ``even``."""
    values = [
        {column: each, "decision": decision, "probability": value}
        for each, probabilities in by.items()
        for decision, value in probabilities.items()
    ]
    colours = {"domain": [0, even, 1], "range": [ORANGE, "#f4f4f4", BLUE]}
    encoding = {
        "x": {**words(column, column), "type": "ordinal"},
        "y": words("decision", "decision, in the order of the network"),
        "color": number("probability", "probability", scale=colours),
    }
    return chart(layer(values, "rect", encoding), height={"step": 14}, **more)


def png(drawn: Chart) -> bytes:
    """The chart as a picture; BadInput: the extra ``report`` is not installed."""
    with needing("report"):
        import vl_convert
    return vl_convert.vegalite_to_png(drawn, vl_version=VERSION, scale=1.5, allowed_base_urls=[])
