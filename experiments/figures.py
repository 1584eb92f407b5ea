"""Figures of published tables: their accuracies and ours."""

import pathlib
import statistics
import textwrap
from collections.abc import Sequence

import numpy as np

from experiments import published
from experiments import results
from experiments.ours import Ours
from experiments.ours import counted
from experiments.ours import of_table
from experiments.published import ACCURACY
from experiments.published import Published
from experiments.published import Table

# Of accuracies in figures, where they lie far apart and where they do not; an
# error cannot be drawn below the smallest.
TICKS = (10, 30, 50, 70, 80, 90, 95, 97, 98, 98.5, 99, 99.5)
NEAR, NEAR_TICKS = 95, (95, 96, 97, 97.5, 98, 98.5, 99, 99.5)
SMALLEST = 0.1


def curves(
    table: Table, folder: pathlib.Path = results.FOLDER
) -> dict[str, list[tuple[float, Published | None, Ours | None]]]:
    """Return the accuracies of each row over its columns, as numbers.

    Returns:
        Dict of row to a list of a column, the published accuracy and ours;
        rows of a single column are left out, and tables of two columns.
    """
    known, ours = published.by_name(), of_table(table, folder)
    rows: dict[str, list] = {}
    for cell in table.cells:
        try:
            place = float(cell.column)
        except ValueError:
            continue
        wanted = published.expected(cell, known[cell.experiment])
        got = ours.get(cell.experiment, {})
        rows.setdefault(cell.row, []).append(
            (place, wanted.get(ACCURACY), got.get(ACCURACY))
        )
    found = {row: sorted(p) for row, p in rows.items() if len(p) > 1}
    return found if any(len(p) > 2 for p in found.values()) else {}


def dots(
    table: Table, folder: pathlib.Path = results.FOLDER
) -> dict[str, tuple[float, dict[str, Ours]]]:
    """Return published accuracies and ours of a table without curves.

    Returns:
        Dict of label to the published accuracy and a dict of column to ours;
        empty if fewer than two were published.
    """
    if curves(table, folder):
        return {}
    known, ours = published.by_name(), of_table(table, folder)
    found: dict[str, tuple[float, dict[str, Ours]]] = {}
    for cell in table.cells:
        wanted = published.expected(cell, known[cell.experiment])
        names = [name for name in wanted if name.startswith(ACCURACY)]
        for name in names:
            what = name.removeprefix(ACCURACY) if len(names) > 1 else ""
            label, mean = f"{cell.row}{what}", wanted[name].mean
            if found.get(label, (mean,))[0] != mean:
                label = f"{label}, {cell.column}"
            _, columns = found.setdefault(label, (mean, {}))
            if got := ours.get(cell.experiment, {}).get(name):
                columns[cell.column] = got
    return found if len(found) > 1 else {}


def lines(
    table: Table, folder: pathlib.Path = results.FOLDER
) -> dict[str, Ours]:
    """Return our accuracies of rows that have no columns, such as dense ones.

    Returns:
        Dict of row to ours, for a table with curves.
    """
    found = curves(table, folder)
    ours = of_table(table, folder)
    accuracies = {
        cell.row: ours.get(cell.experiment, {}).get(ACCURACY)
        for cell in table.cells
        if found and cell.row not in found
    }
    return {row: one for row, one in accuracies.items() if one and one.values}


def _common(table: Table) -> str:
    """Return the name of the accuracies of a table, if they have one."""
    names = {
        name
        for cell in table.cells
        for name in cell.published or (ACCURACY,)
        if name.startswith(ACCURACY)
    }
    return names.pop() if len(names) == 1 else ACCURACY


def _by_density(sparsity):
    return -np.log10(np.maximum(1.0 - sparsity, 1e-6))


def _of_density(place):
    return 1.0 - 10.0**-place


def _by_error(accuracy):
    return -np.log10(np.maximum(100.0 - accuracy, SMALLEST))


def _of_error(place):
    return 100.0 - 10.0**-place


def has_figure(table: Table, folder: pathlib.Path = results.FOLDER) -> bool:
    """Return whether there is something of a table to draw."""
    drawn = curves(table, folder) or dots(table, folder)
    return bool(counted(table, folder) and drawn)


def draw(
    table: Table, file: pathlib.Path, folder: pathlib.Path = results.FOLDER
) -> None:
    """Draw published and our accuracies, over columns or row by row."""
    # Matplotlib takes a second to import, which pages do not need.
    from cb.plots import style

    with style.drawing(file) as axes:
        found = curves(table, folder)
        if found:
            _scale(axes, found, table.axis)
            _draw_curves(axes, found, style.lines())
            _draw_lines(axes, lines(table, folder), style.GREY)
            _label(axes)
        else:
            _draw_dots(axes, dots(table, folder), style.COLORS, style.GREY)
            axes.set_xlabel(f"test {_common(table)}, %")
        axes.set_title(table.title)
        axes.legend()


def _draw_curves(axes, found, looks) -> None:
    for (row, points), line in zip(found.items(), looks, strict=False):
        color = line["color"]
        theirs = [(x, p.mean, p.deviation or 0) for x, p, _ in points if p]
        ours = [
            (x, statistics.mean(o.values), _deviation(o.values))
            for x, _, o in points
            if o and o.values
        ]
        for who, those, mark in (
            ("published", theirs, {"linestyle": "dashed", "mfc": "white"}),
            ("ours", ours, {}),
        ):
            if those:
                x, y, spread = zip(*those, strict=True)
                label = f"{row}, {who}"
                axes.errorbar(
                    *(x, y, spread),
                    color=color,
                    marker="o",
                    capsize=2,
                    label=label,
                    **mark,
                )


def _draw_lines(axes, found, grey) -> None:
    for row, ours in found.items():
        mean, spread = statistics.mean(ours.values), _deviation(ours.values)
        axes.axhline(mean, color=grey, linestyle="dotted", label=f"{row}, ours")
        axes.axhspan(mean - spread, mean + spread, color=grey, alpha=0.1)


def _scale(axes, found, axis: str) -> None:
    """Spread out what differs little."""
    # By errors, so that all rows can be told apart.
    axes.set_yscale("function", functions=(_by_error, _of_error))
    # By the weights that are left, fewer and fewer to the right.
    if axis == "sparsity":
        axes.set_xscale("function", functions=(_by_density, _of_density))
    else:
        axes.set_xscale("log")
        axes.invert_xaxis()
    places = sorted({x for points in found.values() for x, *_ in points})
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(axis)


def _label(axes) -> None:
    low, high = axes.get_ylim()
    ticks = NEAR_TICKS if low >= NEAR else TICKS
    inside = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(inside, [f"{tick:g}" for tick in inside])
    axes.set_ylabel("test accuracy, %")


def _draw_dots(axes, found, colors, grey) -> None:
    theirs = [mean for mean, _ in found.values()]
    axes.plot(theirs, range(len(found)), "D", color=grey, label="published")
    columns = {column: None for _, ours in found.values() for column in ours}
    for column, color in zip(columns, colors, strict=False):
        done = [
            (ours[column].values, row)
            for row, (_, ours) in enumerate(found.values())
            if column in ours and ours[column].values
        ]
        spreads = [_deviation(values) for values, _ in done]
        axes.errorbar(
            [statistics.mean(values) for values, _ in done],
            [row for _, row in done],
            xerr=spreads if any(spreads) else None,
            color=color,
            linestyle="none",
            marker="o",
            capsize=2,
            label=f"ours, {column}" if len(columns) > 1 else "ours",
        )
    texts = ["\n".join(textwrap.wrap(label, 24)) for label in found]
    axes.set_yticks(range(len(found)), texts)
    # As on the page, from above.
    axes.invert_yaxis()


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
