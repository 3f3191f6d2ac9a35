"""From answers to a picture: which image of the gallery each match is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cmnas_tf.errors import BadInput
from cmnas_tf.files import replacing
from cmnas_tf.serving.client.answers import Answer, rightness
from cmnas_tf.serving.client.image_files import ImageFile
from cmnas_tf.serving.client.matches_picture import Tile, draw
from cmnas_tf.serving.gallery import Gallery, Matches


def write_picture(
    answer: Answer, images: Sequence[ImageFile], embeddings: np.ndarray, matches: Matches
) -> None:
    """Draws some of the images, spread over all, with their matches.

    Args:
      answer: where to, from which gallery, how many rows.
      images: that were asked about.
      embeddings: of these, [N, D].
      matches: of these.

    Raises:
      BadInput: the gallery is not the one that answered, or its images are not there.
    """
    gallery = Gallery.load(answer.gallery)
    right = rightness(images, matches)
    shown = np.unique(np.linspace(0, len(images) - 1, answer.rows).round().astype(int))
    lines = []
    for number in shown:
        image = images[number]
        whose = image.pid or "?"
        camera = f"camera {image.camera}" if image.camera else image.modality
        line = [Tile(_opened(image.path), (f"query {whose}", camera))]
        entries = gallery_entries(gallery, embeddings[number], matches, number)
        for rank, entry in enumerate(entries):
            path = Path(answer.gallery_dir) / gallery.names[entry]
            score = matches.scores[number, rank]
            caption = (
                f"{matches.ids[number, rank]}  {score:.3f}",
                f"camera {gallery.cameras[entry]}",
            )
            line.append(Tile(_opened(path), caption, right[number][rank]))
        lines.append(line)
    with replacing(answer.picture) as aside:
        draw(lines).save(aside, format="PNG")


def gallery_entries(
    gallery: Gallery, embedding: np.ndarray, matches: Matches, number: int
) -> list[int]:
    """The entry that each match of an image is; a server answers with ids, and many share one.

    Args:
      gallery: that was searched.
      embedding: of the image, [D].
      matches: of all images.
      number: of the image.

    Returns:
      [k]; of the entries with the match's id and camera the one whose score is the nearest.
    """
    scores = gallery.embeddings @ embedding  # [G]
    ids, cameras = np.asarray(gallery.ids), np.asarray(gallery.cameras)
    found: list[int] = []
    for match, camera, score in zip(*(column[number] for column in matches), strict=True):
        fits = (ids == match) & (cameras == camera)
        fits[found] = False
        if not fits.any():
            raise BadInput(
                f"`gallery` has no further entry of id {match!r} and camera {camera!r}, which was "
                "the answer: it is not the gallery that was searched. Give that one."
            )
        found.append(int(np.where(fits, np.abs(scores - score), np.inf).argmin()))
    return found


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except OSError as error:
        raise BadInput(
            f"The picture needs {path}, which cannot be read: {error}. Give the folder that the "
            "gallery's image names start from as `gallery_dir`."
        ) from error
