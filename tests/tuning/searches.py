"""Searches of analytic problems, which need no training."""

import keras_tuner
import numpy as np
from keras_tuner.engine.base_tuner import BaseTuner

from cb.tuning import oracles


def zdt1(x):
    """Return both objectives of ZDT1 (Zitzler et al., 2000)."""
    distance = 1 + 9 * np.mean(x[1:])
    return x[0], distance * (1 - np.sqrt(x[0] / distance))


def dtlz2(x):
    """Return the three objectives of DTLZ2 (Deb et al., 2002)."""
    angles = x[:2] * np.pi / 2
    radius = 1 + np.sum((x[2:] - 0.5) ** 2)
    return (
        radius * np.cos(angles[0]) * np.cos(angles[1]),
        radius * np.cos(angles[0]) * np.sin(angles[1]),
        radius * np.sin(angles[0]),
    )


def build(spec, objectives, max_trials, hyperparameters, seed=1):
    """Make an oracle that minimizes objectives of these names."""
    oracle = oracles.build(
        spec,
        objective=[keras_tuner.Objective(name, "min") for name in objectives],
        max_trials=max_trials,
        hyperparameters=hyperparameters,
        seed=seed,
        max_consecutive_failed_trials=None,
    )
    oracle.verbose = 0
    return oracle


class Search(BaseTuner):
    """Tries points with a function of their values instead of a model."""

    def __init__(self, oracle, function, directory, stop_after=None):
        super().__init__(oracle, directory=str(directory), project_name="s")
        self.function = function
        self.tried = []
        self.stop_after = stop_after

    def run_trial(self, trial):
        """Return what the function makes of the values."""
        if len(self.tried) == self.stop_after:
            raise KeyboardInterrupt
        self.tried.append(dict(trial.hyperparameters.values))
        results = self.function(self.tried[-1])
        return {**results, "multi_objective": sum(results.values())}


def search_problem(spec, problem, variables, max_trials, seed, directory):
    """Search an analytic problem; return all points that were found."""
    names = [f"x{number}" for number in range(variables)]
    space = keras_tuner.HyperParameters()
    for name in names:
        space.Float(name, 0.0, 1.0)
    points = []

    def function(values):
        found = problem(np.array([values[name] for name in names]))
        points.append(found)
        return {f"f{n}": float(value) for n, value in enumerate(found)}

    objectives = [f"f{n}" for n in range(len(problem(np.zeros(variables))))]
    oracle = build(spec, objectives, max_trials, space, seed)
    Search(oracle, function, directory).search()
    return np.array(points)
