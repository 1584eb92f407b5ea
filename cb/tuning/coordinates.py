"""Hyperparameters of keras-tuner as coordinates of a unit cube."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras_tuner.engine import hyperparameters as kinds

# An integer with more values is treated as a number.
MOST_VALUES = 1000
# The coordinate of a hyperparameter whose conditions do not hold.
INACTIVE = 0.5


class Coordinates:
    """The points of a search space as rows of numbers in `[0, 1]`.

    A row has a coordinate for each hyperparameter, on the scale that it is
    sampled on. A hyperparameter whose conditions do not hold is in the middle.

    Args:
        space: Sequence of the hyperparameters of keras-tuner, each after
            those that its conditions name.
    """

    def __init__(self, space: Sequence):
        self._space = [*space]
        self._values: list[Any] = [_values(one) for one in space]
        # The coordinates of these values, `None` if they cannot be counted.
        self._codes: list[Any] = [
            None
            if values is None
            else np.array([*map(one.value_to_prob, values)])
            for one, values in zip(space, self._values, strict=True)
        ]
        self._unordered = [
            isinstance(one, kinds.Choice) and not one.ordered for one in space
        ]
        widths = [
            len(codes) if unordered else 1
            for codes, unordered in zip(
                self._codes, self._unordered, strict=True
            )
        ]
        self.count = len(self._space)
        self.groups = np.repeat(np.arange(self.count), widths)

    def row(self, values: Mapping[str, Any]) -> np.ndarray:
        """Return the row of a dict of active hyperparameter to value."""
        row = np.full(self.count, INACTIVE)
        for place, one in enumerate(self._space):
            if one.name in values and _is_active(one, values):
                row[place] = one.value_to_prob(values[one.name])
        return self.snapped(row[None])[0]

    def values(self, row: np.ndarray) -> dict[str, Any]:
        """Return the dict of active hyperparameter to value of a row."""
        found: dict[str, Any] = {}
        for place, one in enumerate(self._space):
            if _is_active(one, found):
                found[one.name] = self._value(place, row[place])
        return found

    def snapped(self, rows: np.ndarray) -> np.ndarray:
        """Move rows to the nearest ones that stand for points.

        Args:
            rows: Float array `(rows, hyperparameters)`.

        Returns:
            Float array of the same shape.
        """
        rows = np.clip(rows, 0.0, 1.0)
        active: dict[str, list] = {}
        for place, one in enumerate(self._space):
            if (codes := self._codes[place]) is not None:
                edges = (codes[1:] + codes[:-1]) / 2
                rows[:, place] = codes[np.searchsorted(edges, rows[:, place])]
            here = np.ones(len(rows), bool)
            for condition in one.conditions:
                here &= self._holds(condition, rows, active)
            rows[~here, place] = INACTIVE
            active.setdefault(one.name, []).append((place, here))
        return rows

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Return coordinates for a kernel, one a category of those unordered.

        Args:
            rows: Float array `(rows, hyperparameters)`.

        Returns:
            Float array `(rows, features)`, with a feature for each of
            `groups`.
        """
        columns = []
        for place, unordered in enumerate(self._unordered):
            column = rows[:, place, None]
            if unordered:
                # The distance of two categories is 1.
                column = np.isclose(column, self._codes[place]) / np.sqrt(2)
            columns.append(column)
        return np.concatenate(columns, axis=1)

    def _holds(self, condition, rows, active) -> np.ndarray:
        """Tell in which rows a condition holds."""
        holds = np.zeros(len(rows), bool)
        for place, here in active.get(condition.name, []):
            met = [
                coordinate
                for coordinate in np.unique(rows[here, place])
                if condition.is_active(
                    {condition.name: self._value(place, coordinate)}
                )
            ]
            holds |= here & np.isin(rows[:, place], met)
        return holds

    def _value(self, place: int, coordinate: float) -> Any:
        values, codes = self._values[place], self._codes[place]
        if codes is not None:
            return values[int(np.argmin(abs(codes - coordinate)))]
        one = self._space[place]
        if isinstance(one, kinds.Int):
            # 1 would be one more than the largest.
            coordinate = min(coordinate, np.nextafter(1.0, 0.0))
            return one.prob_to_value(float(coordinate))
        value = one.prob_to_value(float(coordinate))
        return float(np.clip(value, one.min_value, one.max_value))


def _is_active(one, values: Mapping[str, Any]) -> bool:
    return all(condition.is_active(values) for condition in one.conditions)


def _values(one) -> list | None:
    """Return the values of a hyperparameter if they can be counted."""
    if isinstance(one, kinds.Fixed):
        return [one.value]
    if isinstance(one, kinds.Boolean):
        return [False, True]
    if isinstance(one, kinds.Choice):
        return [*one.values]
    if one.step is not None:
        count = len([*one.values])
        if count <= MOST_VALUES:
            return [one.prob_to_value((n + 0.5) / count) for n in range(count)]
    elif isinstance(one, kinds.Int):
        values = range(one.min_value, one.max_value + 1)
        if len(values) <= MOST_VALUES:
            return [*values]
    return None
