"""Importance of hyperparameters for the results of trials."""

import warnings
from typing import Any

from optuna.importance import PedAnovaImportanceEvaluator
from optuna.importance import get_param_importances

from cb.errors import InputError
from cb.tuning.reading import Sweep
from cb.tuning.study import frozen_trials
from cb.tuning.study import quiet_study

LEAST_POINTS = 8
# Trials that are compared with the others: a tenth, but not fewer.
BEST, LEAST_BEST = 0.1, 5
FRONT = "front"


def importances(sweep: Sweep) -> dict[str, dict[str, float]]:
    """Measure by PED-ANOVA what tells the best trials from the others.

    Args:
        sweep: `Sweep`.

    Returns:
        Dict of `FRONT`, if there are several objectives, and of each objective
        to a dict of each parameter to its share of the total.

    Raises:
        InputError: If there are too few points.

    Reference:

    - [Watanabe et al., 2023](https://arxiv.org/abs/2304.10255)
    """
    count = len(sweep.points)
    if count < LEAST_POINTS:
        raise InputError(
            f"Importances need at least {LEAST_POINTS} points. "
            f"Received: {count}"
        )
    directions = [objective.direction for objective in sweep.objectives]
    evaluator = PedAnovaImportanceEvaluator(
        target_quantile=min(max(BEST, LEAST_BEST / count), 0.5)
    )
    study = quiet_study(directions=[f"{name}imize" for name in directions])
    study.add_trials(frozen_trials(sweep))
    targets: dict[str, Any] = {FRONT: None} if len(directions) > 1 else {}
    for number, (column, objective) in enumerate(
        zip(sweep.columns, sweep.objectives, strict=True)
    ):
        targets[column] = lambda trial, number=number, of=objective: (
            of.minimized(trial.values[number])
        )
    found = {}
    for name, target in targets.items():
        with warnings.catch_warnings():
            # That targets are minimized is as it should be.
            warnings.simplefilter("ignore", UserWarning)
            shares = get_param_importances(
                study, evaluator=evaluator, target=target
            )
        found[name] = {one: shares.get(one, 0.0) for one in sweep.parameters}
    return found
