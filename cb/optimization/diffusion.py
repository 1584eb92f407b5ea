"""Distance of the weights from their start: the logarithm law of training."""

from typing import NamedTuple

import numpy as np


class LogFit(NamedTuple):
    """The least-squares line `intercept + slope * log(step)`.

    Attributes:
        intercept: Float.
        slope: Float, per unit of the natural logarithm.
        r_squared: Float, the part of the variance explained; 1 is a line.
        num_points: Integer, points that it was fitted to.
    """

    intercept: float
    slope: float
    r_squared: float
    num_points: int


def log_fit(steps: np.ndarray, distances: np.ndarray) -> LogFit:
    """Fit distances by a line in the logarithm of the step.

    Args:
        steps: Array `(points,)` of positive integers.
        distances: Array `(points,)`.

    Returns:
        `LogFit`; its numbers are NaN where fewer than two points differ.

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)
    """
    logs = np.log(np.asarray(steps, np.float64))
    distances = np.asarray(distances, np.float64)
    if np.unique(logs).size < 2:
        return LogFit(np.nan, np.nan, np.nan, len(logs))
    centred = logs - logs.mean()
    slope = np.dot(centred, distances) / np.dot(centred, centred)
    intercept = distances.mean() - slope * logs.mean()
    residual = distances - intercept - slope * logs
    total = np.sum((distances - distances.mean()) ** 2)
    r_squared = 1.0 - np.sum(residual**2) / total if total > 0 else np.nan
    return LogFit(float(intercept), float(slope), float(r_squared), len(logs))


def first_plateau(learning_rates: np.ndarray) -> slice:
    """Find where the learning rate first stays at its highest.

    Args:
        learning_rates: Array `(points,)`.

    Returns:
        Slice of the points; those of a warm-up before it and of every lower
        rate after it are left out.
    """
    rates = np.asarray(learning_rates, np.float64)
    if not rates.size:
        return slice(0, 0)
    highest = np.isclose(rates, rates.max(), rtol=1e-6, atol=0.0)
    start = int(np.argmax(highest))
    lower = np.flatnonzero(~highest[start:])
    return slice(start, start + int(lower[0]) if lower.size else len(rates))


def next_log_step(step: int, points_per_decade: int) -> int:
    """Return the first step after `step` of those spaced evenly in the log.

    These are `10**(k / points_per_decade)` for `k = 0, 1, ...`, rounded, so
    the first ones are consecutive.

    Args:
        step: Integer, not negative.
        points_per_decade: Positive integer.

    Returns:
        Integer.
    """
    power = int(points_per_decade * np.log10(max(step, 1)))
    while (following := round(10 ** (power / points_per_decade))) <= step:
        power += 1
    return following
