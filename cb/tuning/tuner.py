"""Keras-tuner's search loop over runs of the project."""

import pathlib
from collections.abc import Callable
from collections.abc import Sequence

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import TrialStatus

from cb.errors import InputError
from cb.registry import parse_spec
from cb.seeds import fold_in
from cb.tuning import oracles
from cb.tuning.oracle_state import store
from cb.tuning.plan import SweepPlan
from cb.tuning.results import Row
from cb.tuning.run_request import FAILED
from cb.tuning.runner import Runner

POINT = "point"
# The folder of the state of the search.
STATE = "oracle"
SINGLE = ("bayesian", "hyperband")


class SweepTuner(BaseTuner):
    """Runs the trials of an oracle as runs of the project.

    Args:
        oracle: `keras_tuner.Oracle`.
        runner: `Runner`.
        report: Callable that receives the rows of each finished trial.
        directory: Path, the folder for the state of the oracle.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        runner: Runner,
        report: Callable[[Sequence[Row]], object],
        directory: pathlib.Path,
    ):
        super().__init__(oracle, directory=str(directory), project_name=STATE)
        self._runner = runner
        self._report = report
        if isinstance(self.oracle, keras_tuner.Oracle):
            file = directory / STATE / "state.json"
            store(oracle, file, self._recorded, runner.promoted)

    def save(self):
        """Do nothing: the oracle saves itself, and there is no more."""

    def reload(self):
        """Do nothing, as in `save`."""

    def run_trial(self, trial, *fit_args, **fit_kwargs):
        """Run a trial.

        Args:
            trial: `keras_tuner.engine.trial.Trial`.
            *fit_args: Not used.
            **fit_kwargs: Not used.

        Returns:
            Tuple of a dict of objective to its mean over the runs of the
            trial, and the reason if it failed.
        """
        values = dict(trial.hyperparameters.values)
        rows = self._runner.run(trial.trial_id, values)
        self._report(rows)
        failed = rows[-1]["status"] == FAILED
        return self._metrics(rows), rows[-1]["note"] if failed else ""

    def _try_run_and_update_trial(self, trial, *fit_args, **fit_kwargs):
        # keras-tuner would take any error for one of the trial: a full disk,
        # or a signal. Failures of a trial are results like others.
        metrics, failure = self.run_trial(trial)
        self.oracle.update_trial(trial.trial_id, metrics)
        trial.status = TrialStatus.FAILED if failure else TrialStatus.COMPLETED
        trial.message = failure or None

    def _metrics(self, rows: Sequence[Row]) -> dict[str, float]:
        found = self._runner.objectives(rows)
        # With several objectives keras-tuner needs their signed sum too.
        objective = self.oracle.objective
        return found | {objective.name: objective.get_value(found)}

    def _recorded(self) -> dict[str, dict[str, float]]:
        """Return the metrics of every trial with a result."""
        trials: dict[str, list[Row]] = {}
        for row in self._runner.results.read():
            trials.setdefault(row["trial"], []).append(row)
        return {trial: self._metrics(rows) for trial, rows in trials.items()}


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
