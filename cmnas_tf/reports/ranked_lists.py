"""Pictures of queries with their first matches, from what an evaluation kept of them."""

import io
from pathlib import Path

from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.closer_look import Look
from cmnas_tf.serving.client.picture import Tile, draw, opened

_TITLES = {
    "worst": "What went most wrong: the queries of the lowest precision",
    "best": "What went best: the queries of the highest precision",
    "any": "What it is like: some queries drawn at random",
}


def ranked_lists(look: Look) -> dict[str, bytes]:
    """By title a PNG for each kind of query; an image that is not there any more is left blank."""
    found = {}
    for kind, title in _TITLES.items():
        rows = []
        of_kind = (each["images"] for each in look["lists"] if each["kind"] == kind)
        for query, *matches in filter(None, of_kind):
            row = [
                Tile(_image(look, query), (f"query {query['pid']}", f"camera {query['camera']}"))
            ]
            for match in matches:
                caption = f"{match['pid']}  {match['score']:.3f}", f"camera {match['camera']}"
                row.append(Tile(_image(look, match), caption, match["pid"] == query["pid"]))
            rows.append(row)
        if rows:
            draw(rows).save(file := io.BytesIO(), format="PNG")
            found[title] = file.getvalue()
    return found


def _image(look: Look, image: dict):
    try:
        return opened(Path(look["root"]) / image["name"])
    except BadInput:
        return None
