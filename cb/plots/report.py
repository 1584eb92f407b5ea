"""Report of several runs: a table, and their curves."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cb.plots import curves
from cb.plots.page import Page
from cb.plots.reading import Run


def write(runs: Sequence[Run], folder: pathlib.Path, by: str) -> pathlib.Path:
    """Draw runs side by side, as PNG files and on one page.

    Args:
        runs: Sequence of `Run`.
        folder: Path of the output folder, made if it does not exist.
        by: `"epoch"` or `"step"`, the horizontal axis of curves.

    Returns:
        Path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = Page(" · ".join(run.label for run in runs))
    rows = [_row(run) for run in runs]
    page.table([*rows[0]], [[*row.values()] for row in rows])
    for title, file in curves.draw_all(runs, folder, by):
        page.figure(file, title)
    if differences := _differences(runs):
        page.heading("Differences between the runs")
        page.table(["flag", *[run.label for run in runs]], differences)
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
    last = {name: series.last for name, series in run.series.items()}
    steps = [int(series.steps[-1]) for series in run.series.values()]
    epochs = [int(series.epochs[-1]) for series in run.series.values()]
    tested = run.scores.get("accuracy")
    return {
        "run": run.label,
        "epochs": max(epochs, default=0),
        "updates": max(steps, default=0),
        "loss": last.get("loss"),
        "validation accuracy, %": validation and 100 * validation.last,
        "best, %": validation and 100 * float(validation.values.max()),
        "test accuracy, %": None if tested is None else 100 * tested,
        "distance": last.get(curves.DISTANCE),
        "distance: slope": fit and fit.slope,
        "distance: R²": fit and fit.r_squared,
    }


def _differences(runs: Sequence[Run]) -> list[list]:
    identities = [run.config.identity() for run in runs]
    return [
        [field, *[identity[field] for identity in identities]]
        for field in identities[0]
        if any(other[field] != identities[0][field] for other in identities)
    ]
