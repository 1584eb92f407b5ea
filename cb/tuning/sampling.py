"""Optuna's samplers on the search spaces of keras-tuner."""

import math
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine import hyperparameters as kinds
from optuna import distributions
from optuna.trial import TrialState


class Sampling:
    """Asks a sampler for points and tells it their results.

    A point depends only on the results told before and on the seed given with
    the question.

    Args:
        make_sampler: Callable from `seed` to an Optuna sampler.
        maximized: Sequence of booleans, whether to maximize each objective.
    """

    def __init__(self, make_sampler: Callable, maximized: Sequence[bool]):
        self._make_sampler = make_sampler
        verbosity = optuna.logging.get_verbosity()
        # Creating a study is logged.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self._study = optuna.create_study(
                directions=[
                    "maximize" if larger else "minimize" for larger in maximized
                ],
                sampler=make_sampler(seed=0),
            )
        finally:
            optuna.logging.set_verbosity(verbosity)

    def ask(self, space: Sequence, seed: int):
        """Choose a point.

        Args:
            space: Sequence of the hyperparameters of keras-tuner, each after
                those that its conditions name.
            seed: Integer, decides the point, given the results told before.

        Returns:
            Tuple of a handle for `tell` and a dict of name to value.
        """
        self._study.sampler = self._make_sampler(seed=seed % 2**32)
        handle = self._study.ask()
        point = keras_tuner.HyperParameters()
        for one in space:
            point.merge([one])
            if point.is_active(one):
                point.values[one.name] = _suggested(handle, one)
        return handle, point.values

    def note(self, handle) -> dict[str, Any]:
        """Return the note of a point for `add`; JSON can hold it."""
        known = self._study.get_trials(deepcopy=False)[handle.number]
        return {
            "params": dict(known.params),
            "attributes": dict(known.system_attrs),
        }

    def tell(
        self,
        handle,
        objectives: Sequence[float] | None,
        violations: Mapping[str, float],
    ) -> None:
        """Tell the result of a point.

        Args:
            handle: Handle from `ask`.
            objectives: Sequence of floats, or `None` if it failed.
            violations: Dict of constraint to float, positive if broken.
        """
        for name, value in violations.items():
            handle.set_constraint(name, value)
        if objectives is None:
            self._study.tell(handle, state=TrialState.FAIL)
        else:
            self._study.tell(handle, list(objectives))

    def add(
        self,
        space: Sequence,
        values: Mapping[str, Any],
        objectives: Sequence[float] | None,
        violations: Mapping[str, float],
        note: Mapping[str, Any],
    ) -> None:
        """Add the result of a point from an earlier process.

        Args:
            space: As in `ask`.
            values: Dict of name to value.
            objectives: As in `tell`.
            violations: As in `tell`.
            note: Dict from `note`, or empty.
        """
        active = [one for one in space if one.name in values]
        failed = objectives is None
        computed = {one.name: _written(one, values) for one in active}
        self._study.add_trial(
            optuna.create_trial(
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                values=objectives,
                # Not recomputed where known: the last bit may differ.
                params=note.get("params", computed),
                distributions={one.name: _distribution(one) for one in active},
                system_attrs=note.get("attributes", {}),
                constraints=dict(violations),
            )
        )


def _is_native(one) -> bool:
    """Tell whether Optuna can represent the values of a hyperparameter."""
    if not isinstance(one, kinds.Int | kinds.Float):
        return True
    steps = isinstance(one, kinds.Int) and one.sampling == "linear"
    return steps or one.step is None and one.sampling in ("linear", "log")


def _distribution(one) -> distributions.BaseDistribution:
    if not _is_native(one):
        # Any other range is sampled through its cumulative probability.
        return distributions.FloatDistribution(0.0, math.nextafter(1.0, 0.0))
    if not isinstance(one, kinds.Int | kinds.Float):
        return distributions.CategoricalDistribution(list(one.values))
    log = one.sampling == "log"
    if isinstance(one, kinds.Int):
        return distributions.IntDistribution(
            one.min_value, one.max_value, log=log, step=one.step or 1
        )
    return distributions.FloatDistribution(
        one.min_value, one.max_value, log=log
    )


def _suggested(handle: optuna.Trial, one) -> Any:
    range_: Any = _distribution(one)
    if isinstance(range_, distributions.CategoricalDistribution):
        return handle.suggest_categorical(one.name, range_.choices)
    if isinstance(range_, distributions.IntDistribution):
        return handle.suggest_int(
            one.name, range_.low, range_.high, step=range_.step, log=range_.log
        )
    value = handle.suggest_float(
        one.name, range_.low, range_.high, log=range_.log
    )
    return value if _is_native(one) else one.prob_to_value(value)


def _written(one, values: Mapping[str, Any]) -> Any:
    """Return the value in Optuna's representation."""
    value = values[one.name]
    return value if _is_native(one) else one.value_to_prob(value)
