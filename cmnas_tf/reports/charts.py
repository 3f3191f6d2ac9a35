"""Charts, as Vega-Lite says them, JSON-ready; the browser draws them and shows what lies under the
pointer. Colours are those of M. Okabe and K. Ito, "Color Universal Design"."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Chart = dict[str, Any]

_BLUE, _ORANGE = "#0072B2", "#D55E00"
_LOOKS = {
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#e6e6e6", "labelLimit": 260, "titleFontWeight": "normal"},
    "range": {"category": [_BLUE, _ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]},
    "legend": {"labelLimit": 320},
}


def _chart(
    values: Iterable[Mapping[str, Any]], mark: Any, encoding: Mapping[str, Any], **more: Any
) -> Chart:
    """A chart of a table, a mapping for each row; all columns that it shows are in the tooltip."""
    shown = [{"field": each["field"], "title": each["title"]} for each in encoding.values()]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": _LOOKS,
        "data": {"values": list(values)},
        "mark": mark,
        "encoding": {**encoding, "tooltip": shown},
        "width": 640,
        **more,
    }


def _number(field: str, title: str, **more: Any) -> Chart:
    return {"field": field, "type": "quantitative", "title": title, **more}


def _words(field: str, title: str, **more: Any) -> Chart:
    return {"field": field, "type": "nominal", "title": title, "sort": None, **more}


def decisions(probabilities: Sequence[Mapping[str, float]]) -> Chart:
    """How much a search was for each decision after each epoch, 0..1."""
    values = [
        {"epoch": epoch, "decision": decision, "probability": probability}
        for epoch, of_epoch in enumerate(probabilities, start=1)
        for decision, probability in of_epoch.items()
    ]
    colour = {"domain": [0, 0.5, 1], "range": [_ORANGE, "#f4f4f4", _BLUE]}
    encoding = {
        "x": {**_number("epoch", "epoch"), "type": "ordinal"},
        "y": _words("decision", "decision, in the order of the network"),
        "color": _number("probability", "probability", scale=colour),
    }
    return _chart(values, "rect", encoding, height={"step": 14})


def curves(lines: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str) -> Chart:
    """Lines by name, each of points (x, y)."""
    values = [{"x": a, "y": b, "name": name} for name, points in lines.items() for a, b in points]
    encoding = {
        "x": _number("x", x),
        "y": _number("y", y, scale={"zero": False}),
        "color": _words("name", ""),
    }
    return _chart(values, {"type": "line", "point": len(values) < 100}, encoding, height=240)


def cameras(found: Sequence[Mapping[str, Any]]) -> Chart:
    """How well each camera's queries are found in each camera's images, see ``closer_look``."""
    values = [{**each, "mAP": round(100 * each["mAP"], 1)} for each in found]
    encoding = {
        "x": _words("answering", "camera of the gallery"),
        "y": _words("asking", "camera of the query"),
        "color": _number("mAP", "mAP in percent", scale={"scheme": "blues", "domainMin": 0}),
    }
    size = {"width": {"step": 50}, "height": {"step": 36}}
    return _chart(values, "rect", encoding, **size)


def similarities(counts: Mapping[str, Sequence[int]]) -> Chart:
    """How alike the embeddings of pairs are, see ``closer_look``."""
    values = [
        {"cosine": 2 * i / len(pairs) - 1, "part": n / sum(pairs), "kind": kind}
        for kind, pairs in counts.items()
        for i, n in enumerate(pairs)
        if n
    ]
    encoding = {
        "x": _number("cosine", "cosine of two embeddings"),
        "y": _number("part", "part of the pairs", stack=None),
        "color": _words("kind", ""),
    }
    mark = {"type": "area", "opacity": 0.4, "line": True, "interpolate": "step-after"}
    return _chart(values, mark, encoding, height=240)


def people(found: Sequence[Mapping[str, Any]], places: Sequence[Sequence[float]]) -> Chart:
    """Some people's images where they lie on a map, [M, 2]; see ``closer_look``."""
    values = [
        {"x": x, "y": y, "person": str(image["pid"]), "modality": image["modality"]}
        for image, (x, y) in zip(found, places, strict=True)
    ]
    encoding = {
        "x": _number("x", "x", axis=None),
        "y": _number("y", "y", axis=None),
        "color": _words("person", "person", scale={"scheme": "tableau20"}),
        "shape": _words("modality", "modality"),
    }
    mark = {"type": "point", "filled": True, "size": 50, "opacity": 0.8}
    return _chart(values, mark, encoding, height=420)
