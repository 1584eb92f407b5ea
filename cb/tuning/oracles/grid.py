"""Grids: every combination of the values of the hyperparameters."""

import itertools
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import TrialStatus

from cb.tuning.oracles import REGISTRY


@REGISTRY.register("grid")
class GridOracle(keras_tuner.Oracle):
    """Tries every combination of values, in a fixed order.

    The order is that of `keras_tuner.oracles.GridSearchOracle`: defaults
    first, and the last hyperparameter changes fastest. A point depends on its
    number alone, so that there is no state to lose.

    Args:
        max_trials: Integer, the largest number of points, or `None` for all.
    """

    def populate_space(self, trial_id):
        """Return the combination of this number.

        Args:
            trial_id: String of digits.

        Returns:
            Dict with `"status"` and `"values"`.
        """
        every = combinations(self.hyperparameters.space)
        number = int(trial_id)
        values = next(itertools.islice(every, number, None), None)
        status = TrialStatus.STOPPED if values is None else TrialStatus.RUNNING
        return {"status": status, "values": values}


def combinations(
    space: Sequence, values: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield every combination of the values of hyperparameters.

    Args:
        space: Sequence of the hyperparameters of keras-tuner, each after
            those that its conditions name.
        values: Dict of name to value, of those chosen before.

    Yields:
        Dict of the name of an active hyperparameter to its value.
    """
    values = dict(values or {})
    if not space:
        yield values
        return
    first, *rest = space
    if not all(condition.is_active(values) for condition in first.conditions):
        yield from combinations(rest, values)
        return
    for value in dict.fromkeys([first.default, *first.values]):
        yield from combinations(rest, {**values, first.name: value})
