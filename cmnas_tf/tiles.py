"""A picture of ranked matches, as retrieval papers show them.

A row for each image: the image itself, then its matches, best first. A right match has a green
solid frame and a tick, a wrong one a red dashed frame and a cross, so that nobody needs to tell the
two colours apart. The colours are bluish green and vermilion of the palette of M. Okabe and K. Ito,
"Color Universal Design", which differ in brightness, too.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cmnas_tf.errors import BadInput
from cmnas_tf.reading import read_bytes

HEIGHT, WIDTH = 192, 96  # of an image, in pixels
FRAME, GAP, CAPTION = 5, 10, 34
RIGHT, WRONG, UNKNOWN, INK = "#009E73", "#D55E00", "#777777", "#000000"
_MARKS = {True: [[(4, 11), (9, 16), (17, 5)]], False: [[(5, 5), (16, 16)], [(5, 16), (16, 5)]]}


class Tile(NamedTuple):
    """An image in the picture."""

    image: Image.Image | None  # None where there is no file
    caption: tuple[str, ...]  # lines below it
    # Whether it shows the person that was looked for; None: not known, or the query itself.
    right: bool | None = None


def decoded(content: bytes) -> Image.Image:
    """The image in a file's content, for the eye; raises whatever Pillow does of a damaged one."""
    image: Image.Image = Image.open(io.BytesIO(content))
    image.load()
    if image.mode == "I;16":  # the model's range is not known here
        values = np.asarray(image, float) - np.min(np.asarray(image))
        image = Image.fromarray((values * 255 / max(1, values.max())).astype(np.uint8))
    return image


def opened(path: Path) -> Image.Image:
    """The image in a file; BadInput: it cannot be read."""
    try:
        return decoded(read_bytes(path))
    except Exception as error:  # Pillow raises whatever a damaged file leads it to
        raise BadInput(
            f"The picture needs {path}, which cannot be read: {error}. Give the folder that the "
            "gallery's image names start from as `gallery_dir`."
        ) from error


def draw(rows: Sequence[Sequence[Tile]]) -> Image.Image:
    """An RGB picture of rows of tiles; the first of each is the query."""
    across, down = WIDTH + 2 * FRAME + GAP, HEIGHT + 2 * FRAME + CAPTION + GAP
    # The query stands a little apart.
    size = (max(map(len, rows)) * across + 3 * GAP, len(rows) * down + GAP)
    picture = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=12)
    for line, row in enumerate(rows):
        for column, tile in enumerate(row):
            left = GAP + column * across + (2 * GAP if column else 0)
            top = GAP + line * down
            framed = _framed(tile)
            picture.paste(framed, (left, top))
            for number, text in enumerate(tile.caption):
                below = (left + FRAME, top + framed.height + 2 + 15 * number)
                pen.text(below, text, fill=INK, font=font)
    return picture


def _framed(tile: Tile) -> Image.Image:
    colour = {True: RIGHT, False: WRONG, None: UNKNOWN}[tile.right]
    width, height = WIDTH + 2 * FRAME, HEIGHT + 2 * FRAME
    framed = Image.new("RGB", (width, height), colour)
    pen = ImageDraw.Draw(framed)
    if tile.right is False:  # gaps, of which the image leaves those in the frame
        for x in range(8, width - FRAME, 16):
            pen.rectangle((x, 0, x + 5, height), "white")
        for y in range(8, height - FRAME, 16):
            pen.rectangle((0, y, width, y + 5), "white")
    image = Image.new("RGB", (WIDTH, HEIGHT), "#EEEEEE")
    if tile.image is not None:
        image = tile.image.convert("RGB").resize((WIDTH, HEIGHT))
    framed.paste(image, (FRAME, FRAME))
    if tile.right is not None:
        left, top = width - FRAME - 22, FRAME
        pen.rectangle((left, top, left + 21, top + 21), colour)
        for points in _MARKS[tile.right]:
            pen.line([(left + x, top + y) for x, y in points], "white", 3)
    return framed
