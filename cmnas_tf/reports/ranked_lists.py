"""Pictures of queries with their first matches, from what an evaluation kept of them."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.closer_look import Look
from cmnas_tf.serving.client.picture import Tile, draw, opened

_WIDEST = 16  # characters below an image
_TITLES = {
    "worst": "What went most wrong: the queries of the lowest precision",
    "best": "What went best: the queries of the highest precision",
    "any": "What it is like: some queries drawn at random",
}


def ranked_lists(look: Look) -> dict[str, bytes]:
    """By title a JPEG for each kind of query; of an image that is gone, its name."""
    found = {}
    for kind, title in _TITLES.items():
        rows = []
        of_kind = (each["images"] for each in look["lists"] if each["kind"] == kind)
        for query, *matches in filter(None, of_kind):
            row = [_tile(look, query, f"query {query['pid']}")]
            for match in matches:
                said = f"{match['pid']}  {match['score']:.3f}"
                row.append(_tile(look, match, said, match["pid"] == query["pid"]))
            rows.append(row)
        if rows:
            draw(rows).save(file := io.BytesIO(), format="JPEG", quality=90)
            found[title] = file.getvalue()
    return found


def _tile(look: Look, image: Mapping[str, Any], said: str, right: bool | None = None) -> Tile:
    try:
        there = opened(Path(look["root"]) / image["name"])
    except BadInput:
        return Tile(None, (said, Path(image["name"]).name[-_WIDEST:]), right)
    return Tile(there, (said, f"camera {image['camera']}"), right)
