"""Keras-tuner's loop around our runs."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import TrialStatus

from cb.errors import InputError
from cb.registry import parse_spec
from cb.seeds import fold_in
from cb.tuning import oracles
from cb.tuning.plan import Plan
from cb.tuning.results import Row
from cb.tuning.runner import Runner
from cb.tuning.task import FAILED

POINT = "point"
SINGLE = ("bayesian", "hyperband")


class SweepTuner(BaseTuner):
    """Runs the trials of an oracle as runs of the project.

    Args:
        oracle: `keras_tuner.Oracle`.
        runner: `Runner`.
        report: Callable that is given the rows of each trial when it ends.
        directory: String, where the state of the oracle is kept.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        runner: Runner,
        report: Callable[[Sequence[Row]], object],
        directory: str,
    ):
        super().__init__(oracle, directory=directory, project_name="oracle")
        self._runner = runner
        self._report = report
        self._failure = ""
        # A search killed in its first trial can be reloaded too.
        if isinstance(self.oracle, keras_tuner.Oracle):
            self.oracle.save()
        self.save()

    def run_trial(self, trial, *fit_args, **fit_kwargs):
        """Run a trial.

        Args:
            trial: `keras_tuner.engine.trial.Trial`.
            *fit_args: None.
            **fit_kwargs: None.

        Returns:
            Dict of objective to its mean over the runs of the trial.
        """
        self._failure = ""
        rows = self._runner.run(
            trial.trial_id, dict(trial.hyperparameters.values)
        )
        self._report(rows)
        if rows[-1]["status"] == FAILED:
            self._failure = rows[-1]["note"]
        found = self._runner.objectives(rows)
        # Of several objectives keras-tuner asks for the signed sum too.
        objective = self.oracle.objective
        return found | {objective.name: objective.get_value(found)}

    def on_trial_end(self, trial):
        """Record how a trial ended.

        Args:
            trial: `keras_tuner.engine.trial.Trial`.
        """
        # Raised in `run_trial`, it would be shown as a traceback.
        if self._failure:
            trial.status, trial.message = TrialStatus.FAILED, self._failure
        super().on_trial_end(trial)


def build_oracle(
    spec: str, plan: Plan, max_trials: int, seed: int, epochs: int
) -> keras_tuner.Oracle:
    """Make the oracle of a plan.

    Args:
        spec: String, the spec of the oracle.
        plan: `Plan`.
        max_trials: Integer.
        seed: Integer, decides what is tried.
        epochs: Integer, the longest training, for `hyperband`.

    Returns:
        `keras_tuner.Oracle`.

    Raises:
        InputError: If the spec is wrong, or the oracle has one objective
            and the plan several, or cannot heed constraints.
    """
    name = parse_spec(spec).name
    objectives = [
        keras_tuner.Objective(objective.name, objective.direction)
        for objective in plan.objectives
    ]
    if name in SINGLE and len(objectives) > 1:
        raise InputError(
            f"Oracle `{name}` has one objective; `pareto` searches several. "
            f"Received: objectives={[one.name for one in objectives]}"
        )
    if name == "bayesian" and plan.bounds:
        # It takes the infinity that stands for such a point for a zero.
        raise InputError(
            "Oracle `bayesian` cannot heed constraints; `pareto` can, of one "
            f"objective too. Received: constraints={dict(plan.bounds)}"
        )
    space = plan.space.hyperparameters()
    if plan.points:
        space = keras_tuner.HyperParameters()
        space.Choice(POINT, list(range(len(plan.points))))
    given: dict[str, Any] = {
        "objective": objectives if len(objectives) > 1 else objectives[0],
        "max_trials": max_trials,
        "hyperparameters": space,
        # keras-tuner takes 0 for none.
        "seed": fold_in(seed, "oracle") % 2**31 + 1,
        "allow_new_entries": False,
        "tune_new_entries": False,
        "max_retries_per_trial": 0,
        "max_consecutive_failed_trials": None,
        "max_epochs": epochs,
        "constraints": dict(plan.bounds),
    }
    oracle = oracles.build(spec, **given)
    oracle.verbose = 0
    return oracle
