"""Methods of a sweep: all their trials, and each at its best.

Means over learning rates would compare how the others were searched.
"""

from typing import Any

import numpy as np

from cb.plots.figure import Figure
from cb.plots.figure import Trace
from cb.plots.figure import stairs
from cb.tuning.columns import ERROR
from cb.tuning.columns import INFERENCE
from cb.tuning.columns import TRAINING
from cb.tuning.columns import spanning
from cb.tuning.columns import text_of
from cb.tuning.reading import Sweep

# Hyperparameters that choose the method.
CHOICES = ("algorithm", "reallocation")
SPARSITY = "sparsity"
HEADER = (
    "method",
    "complete trials",
    "on the front",
    "least error",
    "its FLOPs of inference",
    "its FLOPs of training",
    "its trial",
)


def methods(sweep: Sweep) -> dict[str, list[int]]:
    """Return the positions of the points of each method.

    Args:
        sweep: `Sweep`.

    Returns:
        Dict of the name of a method to a list of integers, empty if no method
        is searched; only points with an error count.
    """
    found: dict[str, list[int]] = {}
    chooses = next((n for n in CHOICES if n in sweep.parameters), None)
    for place, point in enumerate(sweep.points):
        # A condition may make it inactive.
        if chooses in point.values and {ERROR, INFERENCE} <= {*point.means}:
            found.setdefault(str(point.values[chooses]), []).append(place)
    return dict(sorted(found.items()))


def method_figure(sweep: Sweep, name: str = "methods") -> Figure:
    """Show the accuracy of all points of each method, and its best ones.

    Args:
        sweep: `Sweep` with methods.
        name: String, the name of the figure's file.

    Returns:
        `Figure`, over sparsity if it is searched, else over FLOPs.
    """
    sparse = SPARSITY in sweep.parameters
    points, lines = [], []
    for look, (method, places) in enumerate(methods(sweep).items()):
        of = [sweep.points[place] for place in places]
        x = np.array([point.means[INFERENCE] for point in of])
        if sparse:
            # Dense runs have none.
            x = np.array([point.values.get(SPARSITY, 0.0) for point in of])
        y = np.array([100 * (1 - point.means[ERROR]) for point in of])
        best, kind = stairs(x, y, larger="xy" if sparse else "y")
        points.append(
            Trace(x=x, y=y, look=look, kind="points", items=sweep.items(places))
        )
        lines.append(
            Trace(x=x[best], y=y[best], label=method, look=look, kind=kind)
        )
    return Figure(
        name=name,
        title=f"{sweep.label}: methods at their best",
        x=SPARSITY if sparse else text_of(INFERENCE),
        y="accuracy, %",
        traces=[*lines, *points],
        log="" if sparse else spanning([sweep], x=INFERENCE),
        caption="Line: the best accuracy at this "
        + ("sparsity or a higher one." if sparse else "cost or a lower one."),
    )


def method_rows(sweep: Sweep) -> list[list[Any]]:
    """Return a row of `HEADER` for each method: its trial of least error."""
    layers, rows = sweep.layers(), []
    for method, places in methods(sweep).items():
        front = int(sum(layers[place] == 0 for place in places))
        least = min(places, key=lambda n: sweep.points[n].means[ERROR])
        best = sweep.points[least]
        costs = [best.means.get(n) for n in (ERROR, INFERENCE, TRAINING)]
        (item,) = sweep.items([least])
        rows.append([method, len(places), front, *costs, item])
    return rows
