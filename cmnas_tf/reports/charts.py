"""Charts of runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from cmnas_tf.charts import Chart, chart, layer, number, words


def curves(lines: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str) -> Chart:
    """Lines by name, each of points (x, y)."""
    values = [{"x": a, "y": b, "name": name} for name, points in lines.items() for a, b in points]
    encoding = {
        "x": number("x", x),
        "y": number("y", y, scale={"zero": False}),
        "color": words("name", ""),
    }
    mark = {"type": "line", "point": len(values) < 100}
    return chart(layer(values, mark, encoding), height=240)


def cameras(found: Sequence[Mapping[str, Any]]) -> Chart:
    """How well each camera's queries are found in each camera's images, see ``closer_look``."""
    values = [{**each, "mAP": round(100 * each["mAP"], 1)} for each in found]
    encoding = {
        "x": words("answering", "camera of the gallery"),
        "y": words("asking", "camera of the query"),
        "color": number("mAP", "mAP in percent", scale={"scheme": "blues", "domainMin": 0}),
    }
    return chart(layer(values, "rect", encoding), width={"step": 50}, height={"step": 36})


def similarities(counts: Mapping[str, Sequence[int]]) -> Chart:
    """How alike the embeddings of pairs are, see ``closer_look``."""
    values = [
        {"cosine": 2 * i / len(pairs) - 1, "part": n / sum(pairs), "kind": kind}
        for kind, pairs in counts.items()
        for i, n in enumerate(pairs)
        if n
    ]
    encoding = {
        "x": number("cosine", "cosine of two embeddings"),
        "y": number("part", "part of the pairs", stack=None),
        "color": words("kind", ""),
    }
    mark = {"type": "area", "opacity": 0.4, "line": True, "interpolate": "step-after"}
    return chart(layer(values, mark, encoding), height=240)


def people(found: Sequence[Mapping[str, Any]], places: Sequence[Sequence[float]]) -> Chart:
    """Some people's images where they lie on a map, [M, 2]; see ``closer_look``."""
    values = [
        {"x": x, "y": y, "person": str(image["pid"]), "modality": image["modality"]}
        for image, (x, y) in zip(found, places, strict=True)
    ]
    colours = {"scale": {"scheme": "tableau20"}, "legend": {"symbolLimit": 20}}
    encoding = {
        "x": number("x", "x", axis=None),
        "y": number("y", "y", axis=None),
        "color": words("person", "person", **colours),
        "shape": words("modality", "modality"),
    }
    mark = {"type": "point", "filled": True, "size": 50, "opacity": 0.8}
    return chart(layer(values, mark, encoding), height=420)
