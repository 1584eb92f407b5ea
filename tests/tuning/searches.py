"""Searches with functions of hyperparameters, which need no training."""

import keras_tuner

from benchmarks import pareto_oracle
from cb.tuning import oracles


def build(
    spec, objectives, max_trials, hyperparameters, seed=1, constraints=None
):
    """Make an oracle that minimizes objectives of these names."""
    return oracles.build(
        spec,
        objective=[keras_tuner.Objective(name, "min") for name in objectives],
        max_trials=max_trials,
        hyperparameters=hyperparameters,
        seed=seed,
        max_consecutive_failed_trials=None,
        constraints=constraints,
    )


class Search(pareto_oracle.Search):
    """Notes what was tried; is killed after so many trials."""

    def __init__(self, oracle, function, directory, stop_after=None):
        super().__init__(oracle, function, directory)
        self.tried = []
        self.stop_after = stop_after

    def run_trial(self, trial):
        """Return what the function makes of the values."""
        if len(self.tried) == self.stop_after:
            raise KeyboardInterrupt
        self.tried.append(dict(trial.hyperparameters.values))
        return super().run_trial(trial)
