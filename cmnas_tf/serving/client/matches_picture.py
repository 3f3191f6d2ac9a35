"""A picture of ranked matches, as retrieval papers show them.

A row for each image: the image itself, then its matches, best first. A right match has a green
solid frame and a tick, a wrong one a red dashed frame and a cross, so that nobody needs to tell the
two colours apart. The colours are bluish green and vermilion of the palette of M. Okabe and K. Ito,
"Color Universal Design", which differ in brightness, too.
"""

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

HEIGHT, WIDTH = 192, 96  # of an image, in pixels
FRAME, GAP, CAPTION = 5, 10, 34
RIGHT, WRONG, UNKNOWN, INK = "#009E73", "#D55E00", "#777777", "#000000"


class Tile(NamedTuple):
    """An image in the picture.

    Attributes:
      image: None where there is no file.
      caption: lines below it.
      right: whether it shows the person that was looked for; None: not known, or the query itself.
    """

    image: Image.Image | None
    caption: tuple[str, ...]
    right: bool | None = None


def draw(rows: Sequence[Sequence[Tile]]) -> Image.Image:
    """Draws rows of tiles, the first tile of each being the query.

    Args:
      rows: at least one, of the same length.

    Returns:
      An RGB picture.
    """
    across, down = WIDTH + 2 * FRAME + GAP, HEIGHT + 2 * FRAME + CAPTION + GAP
    # The query stands a little apart.
    size = (len(rows[0]) * across + 3 * GAP, len(rows) * down + GAP)
    picture = Image.new("RGB", size, "white")
    for line, row in enumerate(rows):
        for column, tile in enumerate(row):
            left = GAP + column * across + (2 * GAP if column else 0)
            _draw_tile(picture, left, GAP + line * down, tile)
    return picture


def _draw_tile(picture: Image.Image, left: int, top: int, tile: Tile) -> None:
    pen = ImageDraw.Draw(picture)
    inside = (left + FRAME, top + FRAME)
    if tile.image is None:
        pen.rectangle((*inside, inside[0] + WIDTH, inside[1] + HEIGHT), fill="#EEEEEE")
    else:
        picture.paste(tile.image.convert("RGB").resize((WIDTH, HEIGHT)), inside)
    right, bottom = left + WIDTH + 2 * FRAME, top + HEIGHT + 2 * FRAME
    colour = {True: RIGHT, False: WRONG, None: UNKNOWN}[tile.right]
    pen.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=FRAME)
    if tile.right is False:
        _dash(pen, left, top, right, bottom)
    if tile.right is not None:
        _mark(pen, right - FRAME - 22, top + FRAME, colour, tile.right)
    font = ImageFont.load_default(size=12)
    for number, text in enumerate(tile.caption):
        pen.text((left + FRAME, bottom + 2 + 15 * number), text, fill=INK, font=font)


def _dash(pen: ImageDraw.ImageDraw, left: int, top: int, right: int, bottom: int) -> None:
    """White gaps in a frame."""
    for x in range(left + 8, right, 16):
        pen.rectangle((x, top, x + 5, top + FRAME - 1), fill="white")
        pen.rectangle((x, bottom - FRAME, x + 5, bottom - 1), fill="white")
    for y in range(top + 8, bottom, 16):
        pen.rectangle((left, y, left + FRAME - 1, y + 5), fill="white")
        pen.rectangle((right - FRAME, y, right - 1, y + 5), fill="white")


def _mark(pen: ImageDraw.ImageDraw, left: int, top: int, colour: str, right: bool) -> None:
    """A tick or a cross on a coloured square."""
    pen.rectangle((left, top, left + 21, top + 21), fill=colour)
    if right:
        pen.line([(left + 4, top + 11), (left + 9, top + 16), (left + 17, top + 5)], "white", 3)
    else:
        pen.line([(left + 5, top + 5), (left + 16, top + 16)], "white", 3)
        pen.line([(left + 5, top + 16), (left + 16, top + 5)], "white", 3)
