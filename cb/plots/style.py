"""The common style of all figures."""

import contextlib
import itertools
import pathlib
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

SIZE = (6.4, 4.0)

# Distinct for colour-blind readers and in print (Okabe and Ito, 2008), without
# the yellow, which is too light for a line.
COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#000000",
)
# Each further round of the colours has another dash.
DASHES: tuple[Any, ...] = ("solid", (0, (5, 1)), (0, (1, 1)))
MOST_LOOKS = len(COLORS) * len(DASHES)
GREY = "#444444"
# For heat maps: monotonic in brightness, also in print.
COLORMAP = "viridis"

RC: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.dpi": 100,
    "font.size": 10,
    "grid.alpha": 0.6,
    "grid.color": "#d0d0d0",
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "savefig.dpi": 150,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


class _PlainNumbers(LogFormatter):
    def __call__(self, x, pos=None):
        return f"{x:g}" if super().__call__(x, pos) else ""


@contextlib.contextmanager
def drawing(
    file: pathlib.Path, size: tuple[float, float] = SIZE, columns: int = 1
) -> Iterator[Any]:
    """Yield axes to draw on, and write the figure at the end of the block.

    Args:
        file: Path of a PNG file.
        size: Tuple of the width and height of the figure in inches.
        columns: Integer, axes side by side.

    Yields:
        `matplotlib.axes.Axes`, or an array of several.
    """
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=size, layout="constrained")
        yield figure.subplots(ncols=columns)
        figure.savefig(file)


def look(number: int | None) -> dict[str, Any]:
    """Return arguments of `plot` that distinguish a line from the others.

    Args:
        number: Integer, the line's place among the lines of a figure; `None`
            for a line that others are compared with.

    Returns:
        Dict with a `"color"` and a `"linestyle"`.
    """
    if number is None:
        return {"color": GREY, "linestyle": "dotted"}
    dash = DASHES[number // len(COLORS) % len(DASHES)]
    return {"color": COLORS[number % len(COLORS)], "linestyle": dash}


def lines() -> Iterator[dict[str, Any]]:
    """Yield the looks of the lines of a figure, in order."""
    return map(look, itertools.count())


def logarithmic(axes) -> None:
    """Make the vertical axis logarithmic, labelled with plain numbers.

    Values without a logarithm leave a gap.
    """
    axes.set_yscale("log", nonpositive="mask")
    axes.yaxis.set_major_formatter(_PlainNumbers())
    axes.yaxis.set_minor_formatter(_PlainNumbers(minor_thresholds=(2, 0.5)))


def legend(axes, count: int) -> None:
    """Add a legend, beside the axes if it would cover the curves.

    Args:
        axes: `matplotlib.axes.Axes`.
        count: Integer, number of entries. More than can be told apart have
            no legend.
    """
    if count > MOST_LOOKS:
        return
    if count > 4:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0))
    elif count:
        axes.legend()
