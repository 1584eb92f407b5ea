"""Pareto layers and hypervolume of points with several objectives."""

from collections.abc import Sequence

import moocore
import numpy as np

from cb.errors import InputError


def layers(points: np.ndarray) -> np.ndarray:
    """Return the number of the non-dominated layer of each point.

    A point dominates another if it is nowhere worse and somewhere better, so
    equal points share a layer.

    Args:
        points: Float array `(points, objectives)`, all to be minimized.

    Returns:
        Integer array `(points,)`; 0 is the Pareto front.
    """
    points = _checked(points)
    if not len(points):
        return np.zeros(0, int)
    return moocore.pareto_rank(points).astype(int)


def dominates(point: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether a point is nowhere worse than another and once better."""
    return bool(np.all(point <= other) and np.any(point < other))


def hypervolume(points: np.ndarray, reference: Sequence[float]) -> float:
    """Compute the volume between points and a reference point.

    Args:
        points: Float array `(points, objectives)`, all to be minimized.
        reference: Sequence of floats, one an objective. Points that are not
            better than it in every objective do not count.

    Returns:
        Float.
    """
    points = _checked(points)
    points = points[np.all(points < np.asarray(reference), axis=1)]
    if not len(points):
        return 0.0
    return float(moocore.hypervolume(points, ref=reference))


def shares(points: np.ndarray, reference: Sequence[float]) -> np.ndarray:
    """Compute the hypervolume that would be lost without each point.

    Args:
        points: Float array `(points, objectives)`, none of which dominates
            another.
        reference: As in `hypervolume`.

    Returns:
        Float array `(points,)`.
    """
    points = _checked(points)
    if points.shape[1] == 1:
        return reference[0] - points[:, 0]
    return moocore.hv_contributions(points, ref=reference)


def hypervolumes(points: np.ndarray, reference: Sequence[float]) -> np.ndarray:
    """Compute the hypervolume after each point.

    Args:
        points: Float array `(points, objectives)`, in order of time.
        reference: As in `hypervolume`.

    Returns:
        Float array `(points,)`, never falling.
    """
    return np.array(
        [hypervolume(points[: n + 1], reference) for n in range(len(points))]
    )


def crowding(points: np.ndarray) -> np.ndarray:
    """Compute the crowding distance of each point of a front.

    Args:
        points: Float array `(points, objectives)`.

    Returns:
        Float array `(points,)`: over the objectives, the sum of the distance
        between both neighbours as a part of the whole range; infinite at the
        ends of an objective.

    Reference:

    - [Deb et al., 2002](https://doi.org/10.1109/4235.996017)
    """
    points = _checked(points)
    distances = np.zeros(len(points))
    if not len(points):
        return distances
    for column in points.T:
        order = np.argsort(column, kind="stable")
        extent = column[order[-1]] - column[order[0]]
        distances[order[[0, -1]]] = np.inf
        if extent:
            gaps = column[order[2:]] - column[order[:-2]]
            distances[order[1:-1]] += gaps / extent
    return distances


def _checked(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or np.isnan(points).any():
        raise InputError(
            "Argument `points` must be numbers of shape (points, objectives). "
            f"Received: an array of shape {points.shape} with "
            f"{int(np.isnan(points).sum())} that are not numbers"
        )
    return points
