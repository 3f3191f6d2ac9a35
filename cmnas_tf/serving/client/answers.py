"""Answers on the screen and in files."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from cmnas_tf.files import replacing
from cmnas_tf.serving.client.image_files import ImageFile
from cmnas_tf.serving.gallery import Matches
from cmnas_tf.tables import table

SHOWN = 4  # numbers of an embedding in a table


def embeddings_table(images: Sequence[ImageFile], embeddings: np.ndarray) -> str:
    """The first numbers of each image's embedding."""
    heads = [f"[{number}]" for number in range(min(SHOWN, embeddings.shape[1]))]
    lines = [["image", "modality", "size", *heads]]
    for image, row in zip(images, embeddings, strict=True):
        numbers = [f"{value:+.4f}" for value in row[:SHOWN]]
        lines.append([str(image.path), image.modality, str(len(row)), *numbers])
    return table(lines)


def matches_table(images: Sequence[ImageFile], matches: Matches) -> str:
    """A line for each match, and how often the first one is right where that is known."""
    right = rightness(images, matches)
    lines = [["image", "person", "rank", "match", "camera", "score", ""]]
    for row, image in enumerate(images):
        columns = zip(*(column[row] for column in matches), right[row], strict=True)
        for rank, (match, camera, score, is_right) in enumerate(columns, start=1):
            person = (str(image.path), image.pid or "?") if rank == 1 else ("", "")
            verdict = {True: "right", False: "wrong", None: ""}[is_right]
            lines.append([*person, str(rank), match, camera, f"{score:.4f}", verdict])
    known = [row[0] for row in right if row[0] is not None]
    if not known:
        return table(lines)
    return f"{table(lines)}\n\nfirst match right: {sum(known)} of {len(known)}"


def embeddings_json(images: Sequence[ImageFile], embeddings: np.ndarray) -> str:
    """A list with an object for each image."""
    return json.dumps(
        [
            {**_described(image), "embedding": row.tolist()}
            for image, row in zip(images, embeddings, strict=True)
        ]
    )


def matches_json(images: Sequence[ImageFile], matches: Matches) -> str:
    """A list with an object for each image, its matches best first."""
    keys = ("id", "camera", "score")
    answers = []
    for image, *columns in zip(images, *matches, strict=True):
        rows = zip(*(column.tolist() for column in columns), strict=True)
        found = [dict(zip(keys, row, strict=True)) for row in rows]
        answers.append({**_described(image), "matches": found})
    return json.dumps(answers, indent=2)


def write_embeddings(path: str, images: Sequence[ImageFile], embeddings: np.ndarray) -> None:
    """An .npz file with ``embeddings`` [N, D] float32 and ``images``, ``modalities``, ``cameras``,
    ``ids`` [N] of what is known of each row."""
    with replacing(path) as aside, aside.open("wb") as file:
        np.savez(
            file,
            embeddings=embeddings,
            images=np.array([str(image.path) for image in images]),
            modalities=np.array([image.modality for image in images]),
            cameras=np.array([image.camera for image in images]),
            ids=np.array([image.pid for image in images]),
        )


def rightness(images: Sequence[ImageFile], matches: Matches) -> list[list[bool | None]]:
    """Whether each match is of the image's person; None where that is not known. [N][k]"""
    return [
        [image.pid == match if image.pid else None for match in row]
        for image, row in zip(images, matches.ids, strict=True)
    ]


def _described(image: ImageFile) -> dict[str, Any]:
    return {
        "image": str(image.path),
        "modality": image.modality,
        "camera": image.camera or None,
        "id": image.pid or None,
    }
