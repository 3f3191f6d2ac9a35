"""What a model server answered: on the screen and in files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmnas_tf.files import write_arrays
from cmnas_tf.options import Options, advanced, path_option
from cmnas_tf.serving.entries import Entry
from cmnas_tf.serving.gallery import Matches
from cmnas_tf.tables import table

SHOWN = 4  # numbers of an embedding in a table


@dataclass(frozen=True)
class Answers:
    """What was answered about images; prints as a table."""

    images: Sequence[Entry]  # that were asked about, N of them
    embeddings: np.ndarray  # [N, D] float32, rows of norm 1; D is 0 where nobody asked for them
    matches: Matches | None = None  # None where nobody was to be identified

    def __str__(self) -> str:
        return self._embeddings() if self.matches is None else self._matches(self.matches)

    def _embeddings(self) -> str:
        """The first numbers of each image's embedding."""
        heads = [f"[{number}]" for number in range(min(SHOWN, self.embeddings.shape[1]))]
        lines = [["image", "modality", "size", *heads]]
        for image, row in zip(self.images, self.embeddings, strict=True):
            numbers = [f"{value:+.4f}" for value in row[:SHOWN]]
            lines.append([image.name, image.modality, str(len(row)), *numbers])
        return table(lines)

    def _matches(self, matches: Matches) -> str:
        """A line for each match, and how often the first one is right where that is known."""
        lines = [["image", "person", "rank", "match", "camera", "score", ""]]
        for row, image in enumerate(self.images):
            person = [image.name, image.id or "?"]
            for rank, (match, camera, score) in enumerate(matches.of_query(row), 1):
                verdict = {True: "right", False: "wrong", None: ""}[image.shows(match)]
                lines.append([*person, str(rank), match, camera, f"{score:.4f}", verdict])
                person = ["", ""]
        firsts = zip(self.images, matches.ids[:, 0], strict=True)
        right = [first == image.id for image, first in firsts if image.id]
        counted = f"\n\nfirst match right: {sum(right)} of {len(right)}" if right else ""
        return f"{table(lines)}{counted}"

    def to_json(self) -> str:
        """A list with an object for each image: its matches, best first, or its embedding."""
        answers = []
        for row, image in enumerate(self.images):
            answer: dict[str, Any] = {
                "image": image.name,
                "modality": image.modality,
                "camera": image.camera or None,
                "id": image.id or None,
            }
            if self.matches is None:
                answer["embedding"] = self.embeddings[row].tolist()
            else:
                names, found = ("id", "camera", "score"), self.matches.of_query(row)
                answer["matches"] = [dict(zip(names, match, strict=True)) for match in found]
            answers.append(answer)
        return json.dumps(answers, indent=None if self.matches is None else 2)

    def save_embeddings(self, path: str) -> None:
        """Writes an .npz file with ``embeddings`` [N, D] float32 and ``images``, ``modalities``,
        ``cameras``, ``ids`` [N] of what is known of each row."""
        names, ids, cameras, modalities = zip(*self.images, strict=True)
        known = {"images": names, "modalities": modalities, "cameras": cameras, "ids": ids}
        write_arrays(path, {"embeddings": self.embeddings, **known})


@dataclass(frozen=True, kw_only=True)
class Answer(Options):
    """What is written of the answers."""

    embeddings: str = path_option("Write the embeddings to this .npz file.")
    picture: str = path_option("Draw images and their matches into this PNG file.")
    gallery: str = path_option(
        "The server's gallery as a file or store, which tells the picture the matches' image files."
    )
    gallery_dir: str = path_option("Folder from which the image names in the gallery start.")
    rows: int = advanced(8, "Images that the picture shows, spread over all.", minimum=1)

    @property
    def needs_embeddings(self) -> bool:
        """Whether they are written, or looked up in the gallery."""
        return bool(self.embeddings or self.picture)
