"""Figures as data: drawn as PNG files here, as charts by the pages."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from cb.plots import style

Numbers = Sequence[float] | np.ndarray
FEW_POINTS = 12
ROW_HEIGHT = 0.32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """One line, one set of points or of bars.

    Args:
        x: Sequence of numbers; NaN interrupts a line.
        y: Sequence of numbers. Bars lie across, centred on these.
        label: String for the legend; empty for none.
        look: Integer, the place of its colour and dash in `style.lines`, or
            `None` for what is only to be compared with, grey and dotted.
        kind: `"line"`, `"fit"` (dotted), `"hv"` or `"vh"` (stairs, first
            across or first up), `"points"` or `"bars"`.
        faint: Boolean, whether others matter more.
        items: String, the row of the page's table that it belongs to, or a
            sequence of strings, those of its points.
        thickness: Float, of bars.
    """

    x: Numbers
    y: Numbers
    label: str = ""
    look: int | None = 0
    kind: str = "line"
    faint: bool = False
    items: str | Sequence[str] = ""
    thickness: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure.

    Args:
        name: String, the name of its file.
        title: String.
        x: String, label of the horizontal axis.
        y: String, label of the vertical axis.
        traces: Sequence of `Trace`, later ones over earlier ones.
        log: Letters of the logarithmic axes, such as `"xy"`.
        rows: Sequence of strings, names of the rows 0, 1 and so on from the
            top, in place of a vertical axis.
        notes: Sequence of tuples `(x, y, text)`.
        caption: String, how to read it.
        view: Tuple of the limits of the vertical axis that a page shows at
            first, or `None`.
        whole: Boolean, whether the horizontal axis counts something.
    """

    name: str
    title: str
    x: str
    y: str = ""
    traces: Sequence[Trace]
    log: str = ""
    rows: Sequence[str] = ()
    notes: Sequence[tuple[float, float, str]] = ()
    caption: str = ""
    whole: bool = False
    view: tuple[float, float] | None = None


def draw(figure: Figure, folder: pathlib.Path) -> pathlib.Path:
    """Draw a figure as a PNG file.

    Args:
        figure: `Figure`.
        folder: Path of a folder that exists.

    Returns:
        Path of the file.
    """
    file = folder / f"{figure.name}.png"
    width, height = style.SIZE
    height = max(height, 1.2 + ROW_HEIGHT * len(figure.rows))
    with style.drawing(file, (width, height)) as axes:
        labels = set()
        for trace in figure.traces:
            # One entry of the legend for all traces that share it.
            known = trace.label in labels
            _add(axes, dataclasses.replace(trace, label="") if known else trace)
            labels.add(trace.label)
        if "x" in figure.log:
            axes.set_xscale("log")
        if "y" in figure.log:
            style.logarithmic(axes)
        if figure.rows:
            axes.set_yticks(range(len(figure.rows)), figure.rows)
            axes.invert_yaxis()
            if not figure.x:
                axes.set_xticks([])
        if figure.whole and "x" not in figure.log:
            axes.xaxis.get_major_locator().set_params(integer=True)
        for x, y, text in figure.notes:
            axes.annotate(text, (x, y), color=style.GREY, fontsize=7)
        axes.set(xlabel=figure.x, ylabel=figure.y, title=figure.title)
        style.legend(axes, len(labels - {""}))
    return file


def _add(axes, trace: Trace) -> None:
    look = dict(style.look(trace.look))
    if trace.kind == "bars":
        axes.barh(
            trace.y,
            trace.x,
            trace.thickness,
            color=look["color"],
            label=trace.label or None,
        )
        return
    if trace.kind == "points":
        look["linestyle"] = "none"
    elif trace.kind == "fit":
        look["linestyle"] = "dotted"
    elif trace.faint:
        look["linewidth"] = 1.0
        if trace.look is None:
            look["linestyle"] = "solid"
    stairs = {"hv": "steps-post", "vh": "steps-pre"}
    few = len(trace.x) <= FEW_POINTS and trace.kind != "fit"
    marked = trace.kind == "points" or few
    axes.plot(
        trace.x,
        trace.y,
        marker="o" if marked and trace.look is not None else None,
        alpha=0.4 if trace.faint else 1.0,
        drawstyle=stairs.get(trace.kind, "default"),
        label=trace.label or None,
        **look,
    )


def stairs(x: Numbers, y: Numbers, larger: str = "") -> tuple[list[int], str]:
    """Find the points that no other point is better than, as stairs.

    Args:
        x: Sequence of numbers.
        y: Sequence of numbers.
        larger: Letters of the axes on which larger is better.

    Returns:
        Tuple of the positions of the points, by rising `x`, and the `kind` of
        a `Trace` through them, along values that were reached.
    """
    sign_x, sign_y = (-1 if axis in larger else 1 for axis in "xy")
    order = sorted(range(len(x)), key=lambda n: (sign_x * x[n], sign_y * y[n]))
    chosen: list[int] = []
    for place in order:
        if not chosen or sign_y * y[place] < sign_y * y[chosen[-1]]:
            chosen.append(place)
    return chosen[::sign_x], "vh" if "x" in larger else "hv"
