"""A picture of some images that were asked about, with what was found."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cmnas_tf.errors import BadInput
from cmnas_tf.files import replacing
from cmnas_tf.serving.client.answers import Answer, Answers
from cmnas_tf.serving.gallery import Gallery, Matches
from cmnas_tf.serving.searchable import load_gallery
from cmnas_tf.tiles import Tile, draw, opened


def write_picture(answer: Answer, found: Answers, matches: Matches) -> None:
    """Draws some of the images that were found, spread over all, with their matches.

    Raises:
      BadInput: the gallery is not the one that answered, or its images are not there.
    """
    gallery = load_gallery(answer.gallery)
    shown = np.linspace(0, len(found.images) - 1, answer.rows).round().astype(int)
    lines = []
    for row in np.unique(shown):
        image, of_image = found.images[row], matches.of_query(row)
        camera = f"camera {image.camera}" if image.camera else image.modality
        line = [Tile(opened(Path(image.name)), (f"query {image.id or '?'}", camera))]
        entries = gallery_entries(gallery, found.embeddings[row], of_image)
        for entry, (match, camera, score) in zip(entries, of_image, strict=True):
            path = Path(answer.gallery_dir) / gallery.names[entry]
            caption = f"{match}  {score:.3f}", f"camera {camera}"
            line.append(Tile(opened(path), caption, image.shows(match)))
        lines.append(line)
    with replacing(answer.picture) as aside:
        draw(lines).save(aside, format="PNG")


def gallery_entries(
    gallery: Gallery, embedding: np.ndarray, matches: Sequence[tuple[str, str, float]]
) -> list[int]:
    """The entry that each match of an image is; a server answers with ids, and many share one.

    Args:
      gallery: that was searched.
      embedding: of the image, [D].
      matches: of this image, the id, camera and score of each.

    Returns:
      [k]; of the entries with the match's id and camera the one whose score is the nearest.
    """
    (scores,) = gallery.scores(embedding[None])  # [G]
    found: list[int] = []
    for match, camera, score in matches:
        fits = (gallery.ids == match) & (gallery.cameras == camera)
        fits[found] = False
        if not fits.any():
            raise BadInput(
                f"`gallery` has no further entry of id {match!r} and camera {camera!r}, which was "
                "the answer: it is not the gallery that was searched. Give that one."
            )
        found.append(int(np.argmin(np.where(fits, np.abs(scores - score), np.inf))))
    return found
