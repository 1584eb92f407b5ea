"""Report of several runs: a table, and their curves."""

import pathlib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from cb.plots import curves
from cb.plots.figure import Figure
from cb.plots.figure import Trace
from cb.plots.figure import draw
from cb.plots.figure import stairs
from cb.plots.labels import differences
from cb.plots.page import Page
from cb.plots.page import Row
from cb.plots.reading import Run

ACCURACY = "test accuracy, %"
# What accuracy costs, with a figure each.
COSTS = ("FLOPs", "bytes", "seconds")
STORED = ("dense_bytes", "csr_bytes", "bitmask_bytes")
FEW = 3
BEST = "Dotted: the best accuracy at this cost or less."


def write(
    runs: Sequence[Run],
    folder: pathlib.Path,
    by: str,
    skipped: Sequence[str] = (),
) -> pathlib.Path:
    """Draw runs side by side, as PNG files and on one page.

    Args:
        runs: Sequence of `Run`.
        folder: Path of the output folder, made if it does not exist.
        by: `"epoch"` or `"step"`, the horizontal axis of curves.
        skipped: Sequence of strings, why folders were left out.

    Returns:
        Path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    title = " · ".join(run.label for run in runs)
    page = Page(title if len(runs) <= FEW else f"{len(runs)} runs")
    for reason in skipped:
        page.note(f"Left out: {reason}")
    differing = differences([run.config for run in runs])
    looks = curves.keys(runs)
    rows = [
        _row(run) | {name: texts[place] for name, texts in differing.items()}
        for place, run in enumerate(runs)
    ]
    header = [
        name for name in rows[0] if any(row[name] is not None for row in rows)
    ]
    page.table(
        header,
        [
            Row(
                [row[name] for name in header],
                item=run.label,
                look=key.look,
                details=_details(run, differing),
            )
            for run, row, key in zip(runs, rows, looks, strict=True)
        ],
    )
    figures = [*_cost_figures(rows, looks), *curves.figures(runs, by)]
    for figure in figures:
        draw(figure, folder)
    page.charts(figures, {run.label: [run.label] for run in runs})
    file = folder / "index.html"
    page.write(file)
    return file


def _row(run: Run) -> dict[str, Any]:
    """Return a run's row in the table, column by column."""
    validation = run.series.get("validation/accuracy")
    fit = None
    if curves.DISTANCE in run.series:
        fit, _ = curves.fit_distance(run)
        fit = fit if np.isfinite(fit.slope) else None
    steps = [int(series.steps[-1]) for series in run.series.values()]
    epochs = [int(series.epochs[-1]) for series in run.series.values()]
    tested = run.scores.get("accuracy")
    costs = run.summary.get("costs", {})
    stored = [value for key, value in costs.items() if key in STORED]
    return {
        "run": run.label,
        ACCURACY: None if tested is None else 100 * tested,
        "validation accuracy, %": validation and 100 * validation.last,
        "best, %": validation and 100 * float(validation.values.max()),
        "loss": run.last("loss"),
        "density": run.last("density"),
        "parameters": run.summary.get("parameters"),
        "FLOPs": run.last("flops"),
        "training FLOPs": run.summary.get("training", {}).get("total"),
        "bytes": min(stored, default=None),
        "seconds": run.summary.get("seconds"),
        "epochs": max(epochs, default=0),
        "updates": max(steps, default=0),
        "distance": run.last(curves.DISTANCE),
        "distance: slope": fit and fit.slope,
        "distance: R²": fit and fit.r_squared,
    }


def _details(run: Run, differing: Iterable[str]) -> dict[str, Any]:
    identity = run.config.identity()
    return {
        "folder": run.folder,
        **{name: identity[name] for name in differing},
    }


def _cost_figures(
    rows: Sequence[Mapping[str, Any]], looks: Sequence[curves.Key]
) -> list[Figure]:
    """Show accuracy over each cost that differs, with the best runs joined."""
    found = [_cost_figure(rows, looks, name) for name in COSTS]
    return [figure for figure in found if figure is not None]


def _cost_figure(
    rows: Sequence[Mapping[str, Any]], looks: Sequence[curves.Key], name: str
) -> Figure | None:
    score = ACCURACY
    if all(row[score] is None for row in rows):
        score = "validation accuracy, %"
    known = [
        (place, row[name], row[score])
        for place, row in enumerate(rows)
        if row[name] is not None and row[score] is not None
    ]
    if len({x for _, x, _ in known}) < 2:
        return None
    places, x, y = zip(*known, strict=True)
    best, kind = stairs(x, y, larger="y")
    points = [
        Trace(
            x=[x[n]],
            y=[y[n]],
            label=looks[place].label,
            look=looks[place].look,
            kind="points",
            items=rows[place]["run"],
        )
        for n, place in enumerate(places)
    ]
    line = Trace(
        x=[x[n] for n in best], y=[y[n] for n in best], look=None, kind=kind
    )
    return Figure(
        name=f"accuracy_{name.lower()}",
        title=f"Accuracy against {name}",
        x=name,
        y=score,
        traces=[line, *points],
        log="x" if min(x) > 0 and max(x) > 20 * min(x) else "",
        # One run that is best at every cost makes no line.
        caption=BEST if len(best) > 1 else "",
    )
