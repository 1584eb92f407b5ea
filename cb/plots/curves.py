"""Curves of runs: loss, accuracy, error and others."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cb.optimization.diffusion import LogFit
from cb.optimization.diffusion import first_plateau
from cb.optimization.diffusion import log_fit
from cb.plots import style
from cb.plots.figure import Figure
from cb.plots.figure import Trace
from cb.plots.labels import differences
from cb.plots.reading import Run

DISTANCE = "weight_distance"
EPOCH = "epoch"
# Of one curve of all runs together, and of one run's at least.
MOST_POINTS, LEAST_POINTS = 20_000, 50


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


class Key(NamedTuple):
    """How a run is drawn.

    Attributes:
        look: Integer, as in `Trace`.
        label: String, its entry in legends.
    """

    look: int
    label: str


def keys(runs: Sequence[Run]) -> list[Key]:
    """Return how runs are drawn: each in its own way if there are enough ways.

    Otherwise runs that share a value share a color: of the first field that
    has as many values as there are ways or fewer.
    """
    texts = [run.label for run in runs]
    if len(runs) > style.MOST_LOOKS:
        differing = differences([run.config for run in runs])
        for field, values in differing.items():
            if len({*values}) <= style.MOST_LOOKS:
                texts = [f"{field}={value}" for value in values]
                break
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return [Key(places[text], text) for text in texts]


def figures(runs: Sequence[Run], by: str) -> Iterator[Figure]:
    """Make every figure that the runs have numbers for.

    Args:
        runs: Sequence of `Run`, whose labels are the items of traces.
        by: `"epoch"` or `"step"`, the horizontal axis.

    Yields:
        `Figure`.
    """
    for curve in CURVES:
        if any(curve.name in run.series for run in runs):
            yield curve_figure(curve, runs, by)
    if any(DISTANCE in run.series for run in runs):
        yield distance_figure(runs)


def curve_figure(curve: Curve, runs: Sequence[Run], by: str) -> Figure:
    """Show one number of several runs: validation strong, training faint.

    Args:
        curve: `Curve`.
        runs: Sequence of `Run`.
        by: `"epoch"` or `"step"`.

    Returns:
        `Figure`.
    """
    held_out = any(f"validation/{curve.name}" in run.series for run in runs)
    many = len(runs) > style.MOST_LOOKS
    traces = []
    for run, key in zip(runs, keys(runs), strict=True):
        training = run.series.get(curve.name)
        validation = run.series.get(f"validation/{curve.name}")
        for series, faint in ((training, held_out), (validation, False)):
            # Of many runs, twice as many curves would hide each other.
            if series is not None and not (many and faint):
                x = series.steps / (run.updates_per_epoch if by == EPOCH else 1)
                kept = _thinned(len(x), len(runs))
                last = series is validation or validation is None
                traces.append(
                    Trace(
                        x=x[kept],
                        y=curve.shown(series.values)[kept],
                        label=key.label if last else "",
                        look=key.look,
                        faint=faint,
                        items=run.label,
                    )
                )
    note = ""
    if held_out:
        note = " of validation" if many else " (faint: training)"
    return Figure(
        name=curve.title.lower().replace(" ", "_"),
        title=curve.title + note,
        x="epochs" if by == EPOCH else "updates",
        y=curve.label,
        traces=traces,
        log="y" if curve.scale == "log" else "",
        whole=True,
    )


def distance_figure(runs: Sequence[Run], name: str = "distance") -> Figure:
    """Show the distance of the weights over the logarithm of the updates.

    Dotted lines are fitted to the first plateau of the learning rate.

    Args:
        runs: Sequence of `Run`.
        name: String, the name of the figure's file.

    Returns:
        `Figure`.

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)
    """
    traces = []
    for run, key in zip(runs, keys(runs), strict=True):
        if DISTANCE not in run.series:
            continue
        steps, _, distances = run.series[DISTANCE]
        fit, plateau = fit_distance(run)
        found = np.isfinite(fit.slope)
        label = key.label
        if found and label == run.label:
            label += f"\n  {fit.slope:.3g} ln t, R² {fit.r_squared:.3f}"
        kept = _thinned(len(steps), len(runs))
        traces.append(
            Trace(
                x=steps[kept],
                y=distances[kept],
                label=label,
                look=key.look,
                items=run.label,
            )
        )
        if found:
            ends = steps[plateau][[0, -1]]
            fitted = fit.intercept + fit.slope * np.log(ends)
            traces.append(Trace(x=ends, y=fitted, look=key.look, kind="fit"))
    return Figure(
        name=name,
        title="Weight distance (dotted: a + c ln t, first plateau)",
        x="updates t",
        y="distance from the initial weights",
        traces=traces,
        log="x",
    )


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


def _thinned(points: int, runs: int) -> np.ndarray:
    """Return positions of as many points, evenly, as figures can hold."""
    most = max(MOST_POINTS // runs, LEAST_POINTS)
    kept = np.linspace(0, points - 1, min(points, most))
    return np.round(kept).astype(int)
