"""Keras-tuner's search loop over runs of the project."""

from collections.abc import Callable
from collections.abc import Sequence

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import TrialStatus

from cb.errors import InputError
from cb.registry import parse_spec
from cb.seeds import fold_in
from cb.tuning import oracles
from cb.tuning.plan import SweepPlan
from cb.tuning.results import Row
from cb.tuning.run_request import FAILED
from cb.tuning.runner import Runner

POINT = "point"
SINGLE = ("bayesian", "hyperband")


class SweepTuner(BaseTuner):
    """Runs the trials of an oracle as runs of the project.

    Args:
        oracle: `keras_tuner.Oracle`.
        runner: `Runner`.
        report: Callable that receives the rows of each finished trial.
        directory: String, the folder for the state of the oracle.
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
        # So that a search killed in its first trial can be reloaded.
        if isinstance(self.oracle, keras_tuner.Oracle):
            self.oracle.save()
        self.save()

    def run_trial(self, trial, *fit_args, **fit_kwargs):
        """Run a trial.

        Args:
            trial: `keras_tuner.engine.trial.Trial`.
            *fit_args: Not used.
            **fit_kwargs: Not used.

        Returns:
            Dict of objective to its mean over the runs of the trial.
        """
        self._failure = ""
        values = dict(trial.hyperparameters.values)
        rows = self._runner.run(trial.trial_id, values)
        self._report(rows)
        if rows[-1]["status"] == FAILED:
            self._failure = rows[-1]["note"]
        found = self._runner.objectives(rows)
        # With several objectives keras-tuner needs their signed sum too.
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
    spec: str, plan: SweepPlan, max_trials: int, seed: int, epochs: int
) -> keras_tuner.Oracle:
    """Make the oracle of a plan.

    Args:
        spec: String, the spec of the oracle.
        plan: `SweepPlan`.
        max_trials: Integer.
        seed: Integer, decides the trials.
        epochs: Integer, the longest training, for `hyperband`.

    Returns:
        `keras_tuner.Oracle`.

    Raises:
        InputError: If the spec is wrong, or the oracle does not support
            several objectives or constraints.
    """
    name = parse_spec(spec).name
    objectives = [
        keras_tuner.Objective(objective.name, objective.direction)
        for objective in plan.objectives
    ]
    if name in SINGLE and len(objectives) > 1:
        raise InputError(
            f"Oracle `{name}` supports one objective; `pareto` supports "
            f"several. Received: objectives={[one.name for one in objectives]}"
        )
    if name == "bayesian" and plan.bounds:
        # It treats the infinity of an infeasible point as zero.
        raise InputError(
            "Oracle `bayesian` does not support constraints; `pareto` does, "
            f"with one objective too. Received: constraints={dict(plan.bounds)}"
        )
    space = plan.space.hyperparameters()
    if plan.points:
        space = keras_tuner.HyperParameters()
        space.Choice(POINT, list(range(len(plan.points))))
    oracle = oracles.build(
        spec,
        objective=objectives if len(objectives) > 1 else objectives[0],
        max_trials=max_trials,
        hyperparameters=space,
        # keras-tuner treats 0 as no seed.
        seed=fold_in(seed, "oracle") % 2**31 + 1,
        allow_new_entries=False,
        tune_new_entries=False,
        max_retries_per_trial=0,
        max_consecutive_failed_trials=None,
        max_epochs=epochs,
        constraints=dict(plan.bounds),
    )
    oracle.verbose = 0
    return oracle
