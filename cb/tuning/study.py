"""The trials of a sweep as those of an Optuna study."""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna import distributions
from optuna.trial import FrozenTrial
from optuna.trial import TrialState

from cb.tuning.reading import Sweep
from cb.tuning.results import Row
from cb.tuning.run_request import OUTRACED
from cb.tuning.run_request import RESTING
from cb.tuning.space import Parameter


def quiet_study(**arguments: Any) -> optuna.Study:
    """Create a study as Optuna does, without its line on standard error."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(**arguments)
    finally:
        optuna.logging.set_verbosity(verbosity)


def frozen_trials(sweep: Sweep) -> list[FrozenTrial]:
    """Return the trials of a sweep, with all that is known of them.

    Args:
        sweep: `Sweep`.

    Returns:
        List of Optuna's trials, in order of time: complete, pruned if they
        lost a race or rest, else failed. Their user attributes are the other
        columns of the last run of each.
    """
    points = {point.runs[0]["trial"]: point for point in sweep.points}
    last = {row["trial"]: row for row in sweep.rows}
    ranges = {
        one.name: _distribution(
            one, [row[one.name] for row in last.values() if one.name in row]
        )
        for one in sweep.space.parameters
    }
    return [
        _frozen(sweep, row, points.get(name), ranges)
        for name, row in last.items()
    ]


def _frozen(sweep: Sweep, row: Row, point, ranges: dict) -> FrozenTrial:
    state = TrialState.COMPLETE
    if point is None:
        lost = row["status"] in (OUTRACED, RESTING)
        state = TrialState.PRUNED if lost else TrialState.FAIL
    params = {
        name: _native(row[name], range_)
        for name, range_ in ranges.items()
        if name in row
    }
    means = {} if point is None else point.means
    others = {k: v for k, v in row.items() if k not in params}
    return optuna.create_trial(
        state=state,
        values=[means[name] for name in sweep.columns] if means else None,
        params=params,
        distributions={name: ranges[name] for name in params},
        user_attrs={**others, **means},
    )


def _distribution(
    one: Parameter, seen: Sequence[Any]
) -> distributions.BaseDistribution:
    """Return the range of a parameter, widened to points from elsewhere."""
    if one.kind == "choice":
        values = {str(value): value for value in [*one.values, *seen]}
        return distributions.CategoricalDistribution([*values.values()])
    low, high = one.extremes()
    low, high = min([low, *seen]), max([high, *seen])
    log = one.log and low > 0
    if one.kind == "int":
        return distributions.IntDistribution(int(low), int(high), log=log)
    return distributions.FloatDistribution(low, high, log=log)


def _native(value: Any, range_: distributions.BaseDistribution) -> Any:
    """Return a value that was read as text as the choice that it names."""
    choices: Sequence[Any] = getattr(range_, "choices", ())
    return next((one for one in choices if str(one) == str(value)), value)
