"""What the page computes: each model's matches, pictures of them, and what was marked."""

import base64
import contextlib
import csv
import hashlib
import io
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.reading import read_bytes
from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.store import Store

# Embeddings [N, D] float32, rows of norm 1, of image files of one modality, given for each.
Embed = Callable[[Sequence[bytes], Sequence[str]], np.ndarray]
MARKS = ("right", "wrong")
_SIDE = 384  # of a picture at most, in pixels: twice what the page shows, for fine screens
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet computes


class Query(NamedTuple):
    """A picture to search with: its file's name and content, and its modality."""

    name: str
    content: bytes
    modality: str


class Searched(NamedTuple):
    """A model: what the page calls it, how it embeds, and a gallery or store of its network."""

    name: str
    embed: Embed
    gallery: Gallery | Store


class Match(NamedTuple):
    """An entry that a model found for a query; a line of the file of marks.

    Attributes:
      query, modality: the name of the query's file, and its modality.
      query_sha256: of that file, since cameras call their pictures alike.
      image, id, camera: the entry's name, whom it shows, and from where.
      model: that found it.
      rank: from 1, among all entries, also where only some cameras are asked for.
      score: cosine of the angle between the embeddings.
    """

    query: str
    modality: str
    query_sha256: str
    image: str
    id: str
    camera: str
    model: str
    rank: int
    score: float

    @property
    def pair(self) -> str:
        """What a mark is about, whichever model found it."""
        return f"{self.query_sha256}/{self.modality}/{self.image}"


class Search:
    """Searches by several models, and remembers what was found and marked.

    Attributes:
      models: their names.
      cameras: that their galleries have, sorted.
      marks: "right", "wrong" or None, by a match's ``pair``.

    Args:
      models: each with its gallery.
      gallery_dir: folder from which the image names in the galleries start; "": no pictures.
      k: the number of matches.
    """

    def __init__(self, models: Sequence[Searched], gallery_dir: str = "", k: int = 12):
        self.models = [one.name for one in models]
        self.cameras = sorted({str(name) for one in models for name in one.gallery.entries.cameras})
        self.marks: dict[str, str | None] = {}
        self._models, self._gallery_dir, self._k = models, gallery_dir, k
        self._found: dict[tuple[str, str], Match] = {}

    def matches(self, query: Query, cameras: Collection[str] = ()) -> list[list[Match]]:
        """The best matches by each model, best first, from these cameras; by default from all.

        Raises:
          BadInput: a model refuses the picture, is away, or is of another network than its gallery.
        """
        return [self._by(one, query, cameras) for one in self._models]

    def _by(self, one: Searched, query: Query, cameras: Collection[str]) -> list[Match]:
        try:
            embedding = one.embed([query.content], [query.modality])
        except CallError as error:
            raise BadInput(error.sentence) from error
        asked = query.name, query.modality, hashlib.sha256(query.content).hexdigest()
        found = [
            Match(*asked, entry.name, entry.id, entry.camera, one.name, entry.rank, entry.score)
            for entry in one.gallery.ranked(embedding, self._k, cameras)
        ]
        self._found |= {(match.pair, match.model): match for match in found}
        return found

    def csv(self) -> str:
        """The marks: a line for each pair that has one, and each model that found it.

        Text that a spreadsheet would take for a formula begins with an apostrophe.
        """
        stream = io.StringIO()
        writer = csv.writer(stream)
        writer.writerow([*Match._fields, "mark"])
        for match in self._found.values():
            if mark := self.marks.get(match.pair):
                writer.writerow([*map(_cell, match), mark])
        return stream.getvalue()

    def picture_of(self, image: str) -> str:
        """A gallery's image as :func:`picture`; "" if ``gallery_dir`` has no such file within."""
        root = Path(self._gallery_dir).resolve()
        with contextlib.suppress(BadInput, OSError, ValueError):
            path = (root / image).resolve()
            if self._gallery_dir and path.is_relative_to(root):
                return picture(read_bytes(path))
        return ""


def picture(content: bytes) -> str:
    """A small picture of an image file, as a URL that holds it; "" if it cannot be decoded."""
    from cmnas_tf.tiles import decoded

    stream = io.BytesIO()
    try:
        image = decoded(content).convert("RGB")
        image.thumbnail((_SIDE, _SIDE))
        image.save(stream, "JPEG")
    except Exception:  # Pillow raises whatever a damaged file leads it to
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _cell(value: object) -> object:
    is_formula = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if is_formula else value
