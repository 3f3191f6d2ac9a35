"""Pictures of queries with their first matches, from what an evaluation kept of them."""

import io
from pathlib import Path

from PIL import Image

from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.closer_look import Look
from cmnas_tf.retrieval.ranked_lists import tiles
from cmnas_tf.tiles import draw, opened

_TITLES = {
    "worst": "What went most wrong: the queries of the lowest precision",
    "best": "What went best: the queries of the highest precision",
    "any": "What it is like: some queries drawn at random",
}


def ranked_lists(look: Look) -> dict[str, bytes]:
    """By title a JPEG for each kind of query; of an image that is gone, its name."""

    def there(name: str) -> Image.Image | None:
        try:
            return opened(Path(look["root"]) / name)
        except BadInput:
            return None

    found = {}
    for kind, title in _TITLES.items():
        lists = (each["images"] for each in look["lists"] if each["kind"] == kind)
        if rows := [tiles(images, there) for images in lists if images]:
            draw(rows).save(file := io.BytesIO(), format="JPEG", quality=90)
            found[title] = file.getvalue()
    return found
