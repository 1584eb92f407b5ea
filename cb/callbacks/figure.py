"""Figures from images: axes, a title and a legend around them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

# The largest side of an image, in pixels; a number takes at most CELL of them.
SIDE, CELL = 512, 16
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
_TEXT, _GAP = 12, 6
_LINE = _TEXT + _GAP

Colour = tuple[int, int, int]


class Axis(NamedTuple):
    """An axis of an image.

    Attributes:
        name: String.
        ticks: Sequence of tuples of a place, from 0, and its text. Those that
            would overlap are left out.
    """

    name: str
    ticks: Sequence[tuple[int, str]]


def framed(
    image: np.ndarray,
    title: str,
    x: Axis,
    y: Axis,
    legend: Sequence[tuple[Colour, str]],
) -> np.ndarray:
    """Return an image as a figure, its numbers enlarged if they are few.

    Args:
        image: uint8 array `(height, width, 3)`, at most `SIDE` on each side.
        title: String.
        x: `Axis` from left to right.
        y: `Axis` from top to bottom.
        legend: Sequence of tuples of a colour and its meaning.

    Returns:
        uint8 array `(height, width, 3)`.
    """
    rows, columns = (min(max(SIDE // n, 1), CELL) for n in image.shape[:2])
    image = image.repeat(rows, axis=0).repeat(columns, axis=1)
    height, width = image.shape[:2]
    font = ImageFont.load_default(_TEXT)
    keys = [(colour, text, _width(text) + 3 * _LINE) for colour, text in legend]
    left = _LINE + max(_width(text) for _, text in y.ticks) + 2 * _GAP
    right = _width(x.ticks[-1][1]) // 2 + _GAP
    whole = max(width, _width(title), _width(x.name), *(k[2] for k in keys))
    places, below = _placed([key[2] for key in keys], whole)
    top = 2 * _LINE
    base = top + height
    size = (left + whole + right, base + (3 + below) * _LINE)
    canvas = Image.new("RGB", size, WHITE)
    canvas.paste(Image.fromarray(image), (left, top))
    draw = ImageDraw.Draw(canvas)
    frame = (left - 1, top - 1, left + width, base)
    draw.rectangle(frame, outline=BLACK)
    draw.text((left, _GAP), title, BLACK, font)
    for place, text in _apart(
        x.ticks, columns, max(_width(t) for _, t in x.ticks)
    ):
        draw.text((left + place, base + _GAP), text, BLACK, font, "ma")
    for place, text in _apart(y.ticks, rows, _TEXT):
        draw.text((left - _GAP, top + place), text, BLACK, font, "rm")
    draw.text((left, base + _LINE + _GAP), x.name, BLACK, font)
    side = Image.new("RGB", (_width(y.name) + 1, _LINE), WHITE)
    ImageDraw.Draw(side).text((0, 0), y.name, BLACK, font)
    canvas.paste(side.rotate(90, expand=True), (0, top))
    for (colour, text, _), (across, down) in zip(keys, places, strict=True):
        corner = (left + across, base + (2 + down) * _LINE + _GAP)
        box = (*corner, corner[0] + _TEXT, corner[1] + _TEXT)
        draw.rectangle(box, colour, BLACK)
        draw.text((corner[0] + _LINE, corner[1]), text, BLACK, font)
    return np.asarray(canvas)


def _width(text: str) -> int:
    return int(ImageFont.load_default(_TEXT).getlength(text)) + 1


def _apart(ticks, scale: int, size: int) -> list[tuple[int, str]]:
    """Return ticks in the middle of their cells, those that do not overlap."""
    found: list[tuple[int, str]] = []
    for place, text in ticks:
        middle = place * scale + scale // 2
        if not found or middle - found[-1][0] >= size + _GAP // 2:
            found.append((middle, text))
    return found


def _placed(widths: list[int], whole: int) -> tuple[list[tuple[int, int]], int]:
    """Place the entries of a legend in lines; also count the lines."""
    places, across, down = [], 0, 0
    for width in widths:
        if across and across + width > whole:
            across, down = 0, down + 1
        places.append((across, down))
        across += width
    return places, down + 1
