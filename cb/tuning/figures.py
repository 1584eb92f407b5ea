"""Figures of sweeps, one or several side by side."""

import itertools
import pathlib
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from cb.plots import style
from cb.tuning import pareto
from cb.tuning.importance import LEAST_POINTS
from cb.tuning.importance import importances
from cb.tuning.reading import Sweep

METHODS = ("algorithm", "reallocation")
SPARSITY = "sparsity"
BINS, MOST_EXACT = 8, 20
TEXT = {
    "Error": "error",
    "Inference": "FLOPs of inference",
    "Training": "FLOPs of training",
}

Drawn = tuple[str, pathlib.Path]


def draw_all(sweeps: Sequence[Sweep], folder: pathlib.Path) -> Iterator[Drawn]:
    """Draw all figures of sweeps with the same objectives.

    Args:
        sweeps: Sequence of `Sweep`, each with complete points.
        folder: Path, created if needed.

    Yields:
        Tuple of a caption and the path of a PNG file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for one, other in itertools.combinations(sweeps[0].columns, 2):
        file = folder / f"front_{one}_{other}.png"
        yield draw_front(sweeps, one, other, file)
    yield draw_hypervolume(sweeps, folder / "hypervolume.png")
    for sweep in sweeps:
        name = f"_{sweep.label}" if len(sweeps) > 1 else ""
        if len(sweep.points) >= LEAST_POINTS and len(sweep.parameters) > 1:
            yield draw_importance(sweep, folder / f"importance{name}.png")
        methods = method_of(sweep) and SPARSITY in sweep.parameters
        if methods and _scored(sweep):
            yield draw_sparsity(sweep, folder / f"sparsity{name}.png")


def draw_front(
    sweeps: Sequence[Sweep], one: str, other: str, file: pathlib.Path
) -> Drawn:
    """Draw two objectives of all points and the Pareto front of the two.

    Args:
        sweeps: Sequence of `Sweep`.
        one: String, the column of the vertical axis.
        other: String, that of the horizontal one.
        file: Path.

    Returns:
        Tuple of a caption and the path.
    """
    with style.drawing(file) as axes:
        for sweep, look in zip(sweeps, style.lines(), strict=False):
            places = [sweep.columns.index(other), sweep.columns.index(one)]
            pairs = sweep.minimized()[:, places]
            x, y = np.abs(pairs.T)
            axes.plot(x, y, ".", color=look["color"], alpha=0.35)
            chosen = np.flatnonzero(pareto.layers(pairs) == 0)
            chosen = chosen[np.lexsort((y[chosen], x[chosen]))]
            axes.plot(
                x[chosen],
                y[chosen],
                marker="o",
                drawstyle="steps-post",
                label=f"{sweep.label}: {len(chosen)} on the front",
                **look,
            )
        axes.set(xlabel=TEXT.get(other, other), ylabel=TEXT.get(one, one))
        axes.set(xscale=_scale(sweeps, other), yscale=_scale(sweeps, one))
        axes.legend()
    return f"{TEXT.get(one, one)} against {TEXT.get(other, other)}", file


def draw_hypervolume(sweeps: Sequence[Sweep], file: pathlib.Path) -> Drawn:
    """Draw the share of the box of all objectives that is dominated, over time.

    Args:
        sweeps: Sequence of `Sweep`.
        file: Path.

    Returns:
        Tuple of a caption, with the reference point, and the path.
    """
    curves, reference = covered(sweeps)
    with style.drawing(file) as axes:
        lines = zip(sweeps, curves, style.lines(), strict=False)
        for sweep, curve, look in lines:
            trials = np.arange(1, len(curve) + 1)
            look |= {"label": f"{sweep.label}: {curve[-1]:.4f}"}
            axes.plot(trials, curve, drawstyle="steps-post", **look)
        axes.set(xlabel="complete trials")
        axes.set(ylabel="hypervolume, share of the box")
        axes.legend(loc="lower right")
    point = ", ".join(
        f"{TEXT.get(name, name)} {abs(value):.4g}"
        for name, value in zip(sweeps[0].columns, reference, strict=True)
    )
    return f"Hypervolume; reference point: {point}", file


def covered(sweeps: Sequence[Sweep]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the hypervolume of each sweep after each of its points.

    The box spans the best and the worst values of each objective in all sweeps;
    the worst values are the reference point.

    Args:
        sweeps: Sequence of `Sweep`.

    Returns:
        Tuple of a list of arrays `(points,)` in [0, 1], and the reference
        point, minimized.
    """
    everything = np.concatenate([sweep.minimized() for sweep in sweeps])
    best, worst = everything.min(axis=0), everything.max(axis=0)
    extent = np.where(worst > best, worst - best, 1.0)
    ones = [1.0] * len(extent)
    return [
        pareto.hypervolumes((sweep.minimized() - best) / extent, ones)
        for sweep in sweeps
    ], worst


def draw_importance(sweep: Sweep, file: pathlib.Path) -> Drawn:
    """Draw how much each hyperparameter matters to each objective.

    Args:
        sweep: `Sweep`.
        file: Path.

    Returns:
        Tuple of a caption and the path.
    """
    points = [point.values for point in sweep.points]
    shares = [
        importances(points, column, sweep.parameters)
        for column in sweep.minimized().T
    ]
    names = sorted(
        sweep.parameters, key=lambda name: sum(s[name] for s in shares)
    )
    height = 0.8 / len(shares)
    size = (style.SIZE[0], 1.2 + 0.32 * len(names))
    with style.drawing(file, size=size) as axes:
        bars = zip(sweep.columns, shares, style.lines(), strict=False)
        for number, (column, share, look) in enumerate(bars):
            axes.barh(
                np.arange(len(names)) - number * height,
                [share[name] for name in names],
                height,
                color=look["color"],
                label=TEXT.get(column, column),
            )
        middle = height * (1 - len(shares)) / 2
        axes.set_yticks(np.arange(len(names)) + middle, names)
        axes.set_xlabel("importance, share of the total")
        axes.legend(loc="lower right")
    return f"{sweep.label}: importance of hyperparameters", file


def method_of(sweep: Sweep) -> str | None:
    """Return the hyperparameter that chooses the method, if there is one."""
    return next((name for name in METHODS if name in sweep.parameters), None)


def draw_sparsity(sweep: Sweep, file: pathlib.Path) -> Drawn:
    """Draw accuracy against sparsity for each method, with its spread.

    Args:
        sweep: `Sweep` with sparsities and methods.
        file: Path.

    Returns:
        Tuple of a caption and the path.
    """
    with style.drawing(file) as axes:
        methods = sorted({str(row[method_of(sweep)]) for row in _scored(sweep)})
        for method, look in zip(methods, style.lines(), strict=False):
            x, mean, spread = _by_sparsity(sweep, method)
            axes.errorbar(
                x, mean, spread, capsize=2, marker="o", label=method, **look
            )
        axes.set(xlabel="sparsity", ylabel="accuracy, %")
        axes.legend()
    return f"{sweep.label}: accuracy by method, mean and deviation", file


def _scored(sweep: Sweep) -> list[dict]:
    """Return the rows with an error and a method, which may be inactive."""
    method = method_of(sweep)
    return [row for row in sweep.rows if "Error" in row and method in row]


def _by_sparsity(sweep: Sweep, method: str):
    """Return sparsities with means and deviations of the accuracies there.

    Sparsities that nearly all differ are grouped into bins.
    """
    scored = _scored(sweep)
    everywhere = {row.get(SPARSITY, 0.0) for row in scored}
    rows = [row for row in scored if str(row[method_of(sweep)]) == method]
    places = np.array([row.get(SPARSITY, 0.0) for row in rows])
    accuracies = 100 * (1 - np.array([row["Error"] for row in rows]))
    if len(everywhere) > MOST_EXACT:
        # Dense runs keep sparsity zero.
        cells = np.ceil(places * BINS)
        places = np.where(cells > 0, (cells - 0.5) / BINS, 0.0)
    x = np.unique(places)
    groups = [accuracies[places == place] for place in x]
    return x, [g.mean() for g in groups], [g.std() for g in groups]


def _scale(sweeps: Sequence[Sweep], column: str) -> str:
    """Return a logarithmic scale for values that span a factor of a hundred."""
    values = [point.means[column] for one in sweeps for point in one.points]
    wide = min(values) > 0 and max(values) > 100 * min(values)
    return "log" if wide else "linear"
