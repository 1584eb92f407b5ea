"""Importance of hyperparameters for the results of runs."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from cb.errors import InputError

LEAST_POINTS = 8
TREES, REPEATS = 100, 10
ABSENT = -1.0


def importances(
    points: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    names: Sequence[str],
    seed: int = 0,
) -> dict[str, float]:
    """Measure the permutation importance of each hyperparameter in a forest.

    Args:
        points: Sequence of dicts of active hyperparameter to value.
        values: Sequence of floats, the result of each point.
        names: Sequence of the hyperparameters.
        seed: Integer, decides the forest.

    Returns:
        Dict of name to its share of the total, largest first; all zero if
        no hyperparameter matters.

    Raises:
        InputError: If there are too few points.

    Reference:

    - [Breiman, 2001](https://doi.org/10.1023/A:1010933404324)
    """
    if len(points) < LEAST_POINTS:
        raise InputError(
            f"Importances need at least {LEAST_POINTS} points. "
            f"Received: {len(points)}"
        )
    table = np.array([_column(points, name) for name in names]).T
    forest = RandomForestRegressor(TREES, random_state=seed)
    # Ranks, so that one diverged training does not dominate.
    targets = np.argsort(np.argsort(values, kind="stable"))
    forest.fit(table, targets)
    found = permutation_importance(
        forest, table, targets, n_repeats=REPEATS, random_state=seed
    ).importances_mean.clip(min=0.0)
    shares = found / (found.sum() or 1.0)
    order = np.argsort(-shares, kind="stable")
    return {names[place]: float(shares[place]) for place in order}


def _column(points, name) -> list[float]:
    """Return the values of a hyperparameter as numbers."""
    present = [point[name] for point in points if name in point]
    if all(isinstance(value, int | float) for value in present):
        return [float(point.get(name, ABSENT)) for point in points]
    codes = {
        value: code for code, value in enumerate(sorted(map(str, present)))
    }
    return [
        float(codes[str(point[name])]) if name in point else ABSENT
        for point in points
    ]
