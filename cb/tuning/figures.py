"""Figures of sweeps, one or several side by side."""

import itertools
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from cb.plots.figure import Figure
from cb.plots.figure import Trace
from cb.plots.figure import stairs
from cb.tuning import pareto
from cb.tuning.columns import spanning
from cb.tuning.columns import text_of
from cb.tuning.importance import FRONT
from cb.tuning.importance import LEAST_POINTS
from cb.tuning.importance import importances
from cb.tuning.methods import method_figure
from cb.tuning.methods import methods
from cb.tuning.objectives import MAX
from cb.tuning.parallel import parallel_figure
from cb.tuning.reading import Sweep

# How far beyond the worst values the reference point is, of their range.
BEYOND = 0.1


def figures(
    sweeps: Sequence[Sweep], reference: Sequence[float] = ()
) -> Iterator[Figure]:
    """Make all figures of sweeps with the same objectives.

    Args:
        sweeps: Sequence of `Sweep`, each with complete points.
        reference: As in `hypervolume_figure`.

    Yields:
        `Figure`, the front first.
    """
    columns = sweeps[0].columns
    for one, other in itertools.combinations(columns, 2):
        yield front_figure(sweeps, one, other)
    if len(columns) > 1:
        yield hypervolume_figure(sweeps, reference)
    else:
        yield best_figure(sweeps)
    for sweep in sweeps:
        if methods(sweep):
            yield method_figure(sweep, _name("methods", sweep, sweeps))
    yield parallel_figure(sweeps)
    for sweep in sweeps:
        if len(sweep.points) >= LEAST_POINTS and len(sweep.parameters) > 1:
            name = _name("importance", sweep, sweeps)
            yield importance_figure(sweep, name)


def front_figure(sweeps: Sequence[Sweep], one: str, other: str) -> Figure:
    """Show two objectives of all points, and which points are on the front.

    Args:
        sweeps: Sequence of `Sweep`.
        one: String, the column of the vertical axis.
        other: String, that of the horizontal one.

    Returns:
        `Figure`.
    """
    behind: list[Trace] = []
    lines: list[Trace] = []
    on_top: list[Trace] = []
    for place, sweep in enumerate(sweeps):
        x, y = sweep.values(other), sweep.values(one)
        front = sweep.layers() == 0
        larger = "".join(
            axis
            for axis, column in (("x", other), ("y", one))
            if sweep.objectives[sweep.columns.index(column)].direction == MAX
        )
        best, kind = stairs(x, y, larger)
        lines.append(Trace(x=x[best], y=y[best], look=place, kind=kind))
        label = f"{sweep.label}: {int(front.sum())} on the front"
        for chosen, traces in ((~front, behind), (front, on_top)):
            traces.append(
                Trace(
                    x=x[chosen],
                    y=y[chosen],
                    label=label if traces is on_top else "",
                    look=place,
                    kind="points",
                    faint=traces is behind,
                    items=sweep.items(chosen),
                )
            )
    others = len(sweeps[0].columns) > 2
    view, outside = _view(sweeps, one)
    return Figure(
        name=f"front_{one}_{other}",
        title=f"{_upper(text_of(one))} against {text_of(other)}",
        x=text_of(other),
        y=text_of(one),
        traces=[*behind, *lines, *on_top],
        log=spanning(sweeps, x=other, y=one),
        caption="Large points: the front"
        + (" of all objectives; line: of these two." if others else ".")
        + outside,
        view=view,
    )


def _view(
    sweeps: Sequence[Sweep], column: str
) -> tuple[tuple[float, float] | None, str]:
    """Return limits of an axis between which a front is large, and a caption.

    A few failed trainings would make it a flat line.
    """
    place = sweeps[0].columns.index(column)
    values = np.concatenate([s.minimized()[:, place] for s in sweeps])
    fronts = [s.minimized()[s.layers() == 0, place] for s in sweeps]
    best = values.min()
    end = max(np.percentile(values, 75), np.concatenate(fronts).max())
    limit = end + 0.25 * (end - best)
    outside = int(np.sum(values > limit))
    if spanning(sweeps, y=column) or values.max() < end + 2 * (end - best):
        return None, ""
    sign = sweeps[0].objectives[place].minimized(1.0)
    low, high = sorted([sign * (1.1 * best - 0.1 * end), sign * limit])
    return (low, high), f" Not in view: {outside} worse trials (autoscale)."


def hypervolume_figure(
    sweeps: Sequence[Sweep], reference: Sequence[float] = ()
) -> Figure:
    """Show the share of the box of all objectives that is dominated, over time.

    Args:
        sweeps: Sequence of `Sweep`.
        reference: Sequence of floats, the worst value of each objective that
            counts; by default values a little worse than the worst.

    Returns:
        `Figure`, whose caption has the reference point.
    """
    curves, point = covered(sweeps, reference)
    texts = ", ".join(
        f"{text_of(name)} {objective.minimized(value):.4g}"
        for name, objective, value in zip(
            sweeps[0].columns, sweeps[0].objectives, point, strict=True
        )
    )
    return Figure(
        name="hypervolume",
        title="Hypervolume",
        x="complete trials",
        y="share of the box",
        traces=[
            Trace(
                x=np.arange(1, len(curve) + 1),
                y=curve,
                label=f"{sweep.label}: {curve[-1]:.4f}",
                look=place,
                kind="hv",
                items=sweep.items(),
            )
            for place, (sweep, curve) in enumerate(
                zip(sweeps, curves, strict=True)
            )
        ],
        caption=f"The box from the best values to the reference point: {texts}",
        whole=True,
    )


def covered(
    sweeps: Sequence[Sweep], reference: Sequence[float] = ()
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the hypervolume of each sweep after each of its points.

    The box spans the best values of each objective in all sweeps and the
    reference point.

    Args:
        sweeps: Sequence of `Sweep`.
        reference: Sequence of floats, one an objective; by default values
            worse than the worst by `BEYOND` of the range, so that a point
            counts which is best in one objective and worst in another.

    Returns:
        Tuple of a list of arrays `(points,)` in [0, 1], and the reference
        point, minimized.
    """
    everything = np.concatenate([sweep.minimized() for sweep in sweeps])
    best, worst = everything.min(axis=0), everything.max(axis=0)
    extent = np.where(worst > best, worst - best, np.abs(best) + 1.0)
    point = worst + BEYOND * extent
    if reference:
        given = zip(sweeps[0].objectives, reference, strict=True)
        point = np.array([one.minimized(value) for one, value in given])
        # Where nothing is better than it, all volume is zero.
        extent = np.where(point > best, point - best, 1.0)
    else:
        extent = point - best
    corner = (point - best) / extent
    return [
        pareto.hypervolumes((sweep.minimized() - best) / extent, corner)
        for sweep in sweeps
    ], point


def best_figure(sweeps: Sequence[Sweep]) -> Figure:
    """Show the only objective of all points, and the best so far."""
    (column,) = sweeps[0].columns
    traces = []
    for place, sweep in enumerate(sweeps):
        values = sweep.values(column)
        trials = np.arange(1, len(values) + 1)
        best = np.minimum.accumulate(sweep.minimized()[:, 0])
        best = np.array([sweep.objectives[0].minimized(v) for v in best])
        traces += [
            Trace(
                x=trials,
                y=values,
                look=place,
                kind="points",
                items=sweep.items(),
            ),
            Trace(
                x=trials,
                y=best,
                label=f"{sweep.label}: {best[-1]:.4g}",
                look=place,
                kind="hv",
            ),
        ]
    return Figure(
        name="best",
        title=f"Best {text_of(column)}",
        x="complete trials",
        y=text_of(column),
        traces=traces,
        log=spanning(sweeps, y=column),
        whole=True,
    )


def importance_figure(sweep: Sweep, name: str = "importance") -> Figure:
    """Show how much each hyperparameter matters, to each objective.

    Args:
        sweep: `Sweep`.
        name: String, the name of the figure's file.

    Returns:
        `Figure`.
    """
    shares = importances(sweep)
    rows = sorted(
        sweep.parameters,
        key=lambda name: -sum(s[name] for s in shares.values()),
    )
    height = 0.8 / len(shares)
    return Figure(
        name=name,
        title=f"{sweep.label}: importance of hyperparameters",
        x="importance, share of the total",
        rows=rows,
        traces=[
            Trace(
                x=[share[row] for row in rows],
                y=[
                    place + height * (number - (len(shares) - 1) / 2)
                    for place in range(len(rows))
                ],
                label="to be on the front" if of == FRONT else text_of(of),
                look=number,
                kind="bars",
                thickness=height,
            )
            for number, (of, share) in enumerate(shares.items())
        ],
        caption="What tells the best trials from the others (PED-ANOVA).",
    )


def _name(name: str, sweep: Sweep, sweeps: Sequence[Sweep]) -> str:
    return f"{name}_{sweep.label}" if len(sweeps) > 1 else name


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
