"""Figures of published tables: their numbers and ours."""

import itertools
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


def ratios(
    table: Table, folder: pathlib.Path = results.FOLDER
) -> dict[str, list[float]]:
    """Return ours as multiples of what was published, without accuracies.

    Returns:
        Dict of what is measured to a list of multiples, one for each seed; of
        a table with a single row.
    """
    if curves(table, folder) or dots(table, folder) or len(table.cells) > 1:
        return {}
    (cell,) = table.cells
    wanted = published.expected(cell, published.by_name()[cell.experiment])
    ours = of_table(table, folder).get(cell.experiment, {})
    return {
        name: [value / number.mean for value in ours[name].values]
        for name, number in wanted.items()
        if name in ours and ours[name].values
    }


def points(
    table: Table, folder: pathlib.Path = results.FOLDER
) -> dict[str, list[tuple[float, float]]]:
    """Return our accuracies over another number of the same runs.

    Returns:
        Dict of row and column to a list of that number and the accuracy, a
        pair for each seed; empty if the table names no other number.
    """
    ours, found = of_table(table, folder), {}
    for cell in table.cells if table.against else ():
        got = ours.get(cell.experiment, {})
        # Where all seeds diverged there is none.
        if table.against in got:
            pairs = (got[table.against].values, got[ACCURACY].values)
            label = f"{cell.row}, {table.axis} {cell.column}"
            found[label] = [*zip(*pairs, strict=True)]
    return found


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
    kinds = (curves, dots, ratios, points)
    drawn = any(kind(table, folder) for kind in kinds)
    return bool(counted(table, folder) and drawn)


def draw(
    table: Table, file: pathlib.Path, folder: pathlib.Path = results.FOLDER
) -> None:
    """Draw published and our numbers, over columns or row by row."""
    # Matplotlib takes a second to import, which pages do not need.
    from cb.plots import style

    with style.drawing(file) as axes:
        found = curves(table, folder)
        if found:
            _scale(axes, found, table.axis)
            _draw_curves(axes, found, style.lines())
            _draw_lines(axes, lines(table, folder), style.GREY)
            _label(axes)
        elif rows := dots(table, folder):
            _draw_dots(axes, rows, style.COLORS, style.GREY)
            axes.set_xlabel(f"test {_common(table)}, %")
        elif multiples := ratios(table, folder):
            _draw_ratios(axes, multiples, style.COLORS[0], style.GREY)
        else:
            _draw_points(axes, points(table, folder), style.COLORS)
            axes.set(xlabel=table.against, ylabel="test accuracy, %")
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
    _name_rows(axes, found)


def _draw_ratios(axes, found, color, grey) -> None:
    axes.axvline(1.0, color=grey, linestyle="dashed", label="published")
    axes.errorbar(
        [statistics.mean(values) for values in found.values()],
        range(len(found)),
        xerr=[_deviation(values) for values in found.values()],
        color=color,
        linestyle="none",
        marker="o",
        capsize=2,
        label="ours",
    )
    axes.set_xlabel("times the published number")
    _name_rows(axes, found)


def _draw_points(axes, found, colors) -> None:
    looks = zip(itertools.cycle(colors), itertools.cycle("os^Dv"))
    for (label, pairs), (color, mark) in zip(
        found.items(), looks, strict=False
    ):
        x, y = zip(*pairs, strict=True)
        # Open, so that equal ones can be told apart.
        axes.plot(x, y, mark, color=color, mfc="none", label=label)


def _name_rows(axes, labels) -> None:
    texts = ["\n".join(textwrap.wrap(label, 28)) for label in labels]
    axes.set_yticks(range(len(texts)), texts)
    # As on the page, from above.
    axes.invert_yaxis()


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
