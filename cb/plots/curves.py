"""Draws loss, accuracy, error and other curves of runs."""

import pathlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from cb.optimization.diffusion import LogFit
from cb.optimization.diffusion import first_plateau
from cb.optimization.diffusion import log_fit
from cb.plots import style
from cb.plots.reading import Run
from cb.plots.reading import Series

DISTANCE = "weight_distance"
FEW_POINTS = 12


class Curve(NamedTuple):
    """A figure of numbers that were logged at the ends of epochs.

    Attributes:
        title: String, title of the figure, and in lower case of its file.
        label: String, label of the vertical axis.
        name: String, name of the number in `metrics.csv`; validation adds
            the prefix `validation/`.
        scale: String, scale of the vertical axis.
        shown: Callable from the values to the drawn ones.
    """

    title: str
    label: str
    name: str
    scale: str = "linear"
    shown: Callable[[np.ndarray], np.ndarray] = np.asarray


CURVES = (
    Curve("Loss", "loss", "loss", "log"),
    Curve(
        "Error", "error, percent", "accuracy", "log", lambda a: 100 * (1 - a)
    ),
    Curve("Accuracy", "accuracy, percent", "accuracy", shown=lambda a: 100 * a),
    Curve("Learning rate", "learning rate", "learning_rate", "log"),
)


def draw_all(
    runs: Sequence[Run], folder: pathlib.Path, by: str
) -> Iterator[tuple[str, pathlib.Path]]:
    """Draw every figure that the runs have numbers for.

    Args:
        runs: Sequence of `Run`.
        folder: Path of the folder for PNG files.
        by: `"epoch"` or `"step"`, the horizontal axis.

    Yields:
        Tuples of a title and a file.
    """
    for curve in CURVES:
        if any(curve.name in run.series for run in runs):
            file = folder / f"{curve.title.lower().replace(' ', '_')}.png"
            draw_curve(curve, runs, file, by)
            yield curve.title, file
    if any(DISTANCE in run.series for run in runs):
        file = folder / "distance.png"
        draw_distances(runs, file)
        yield "Distance from the initial weights", file


def draw_curve(
    curve: Curve, runs: Sequence[Run], file: pathlib.Path, by: str
) -> None:
    """Draw one number of several runs: validation strong, training faint.

    Args:
        curve: `Curve`.
        runs: Sequence of `Run`.
        file: Path of the PNG file.
        by: `"epoch"` or `"step"`.
    """
    with style.drawing(file) as axes:
        held_out = any(f"validation/{curve.name}" in run.series for run in runs)
        for run, line in zip(runs, style.lines(), strict=False):
            training = run.series.get(curve.name)
            validation = run.series.get(f"validation/{curve.name}")
            if training is not None:
                faint = {"alpha": 0.4, "linewidth": 1.0} if held_out else {}
                label = None if validation else run.label
                _plot(axes, run, curve, training, by, line | faint, label)
            if validation is not None:
                _plot(axes, run, curve, validation, by, line, run.label)
        if curve.scale == "log":
            style.logarithmic(axes)
        axes.set_xlabel("epochs" if by == "epoch" else "updates")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(curve.label)
        note = " (faint: training)" if held_out else ""
        axes.set_title(curve.title + note)
        style.legend(axes, len(runs))


def draw_distances(runs: Sequence[Run], file: pathlib.Path) -> None:
    """Draw the distance of the weights over the logarithm of the updates.

    Dotted lines are fitted to the first plateau of the learning rate.

    Args:
        runs: Sequence of `Run`.
        file: Path of the PNG file.

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)
    """
    with style.drawing(file) as axes:
        for run, line in zip(runs, style.lines(), strict=False):
            if DISTANCE not in run.series:
                continue
            steps, _, distances = run.series[DISTANCE]
            fit, plateau = fit_distance(run)
            found = np.isfinite(fit.slope)
            label = run.label
            if found:
                label += f"\n  {fit.slope:.3g} log t, R² {fit.r_squared:.3f}"
            axes.plot(steps, distances, label=label, **line)
            if found:
                ends = steps[plateau][[0, -1]]
                fitted = fit.intercept + fit.slope * np.log(ends)
                axes.plot(ends, fitted, ":", color="#444444", linewidth=1.2)
        axes.set_xscale("log")
        axes.set_xlabel("updates t")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("distance from the initial weights")
        axes.set_title("Weight distance (dotted: a + c log t, first plateau)")
        style.legend(axes, len(runs))


def fit_distance(run: Run) -> tuple[LogFit, slice]:
    """Fit the distance by `a + c * log(t)` on the first plateau.

    Args:
        run: `Run` with weight distances.

    Returns:
        Tuple of the `LogFit` and the slice of the fitted points, which is
        empty before the end of the first epoch.
    """
    steps, _, distances = run.series[DISTANCE]
    plateau = slice(0, 0)
    # The learning rate is logged at the end of every epoch.
    if "learning_rate" in run.series:
        rates = run.series["learning_rate"]
        plateau = first_plateau(np.interp(steps, rates.steps, rates.values))
    return log_fit(steps[plateau], distances[plateau]), plateau


def _plot(axes, run: Run, curve: Curve, series: Series, by, line, label):
    steps, _, values = series
    positions = steps / run.updates_per_epoch if by == "epoch" else steps
    marker = "o" if len(steps) <= FEW_POINTS else None
    axes.plot(
        positions, curve.shown(values), marker=marker, label=label, **line
    )
