"""Hypervolume of oracles on ZDT1 and DTLZ2 after 200 trials, ten seeds.

python -m benchmarks.pareto_oracle > benchmarks/pareto_oracle.md
"""

import argparse
import datetime
import os
import platform
import tempfile

import keras_tuner
import numpy as np
from keras_tuner.engine.base_tuner import BaseTuner

from cb.tuning import oracles
from cb.tuning import pareto

SPECS = ("random", "latin_hypercube", "pareto", "pareto(sampler='nsga2')")


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


# The numbers of variables that the sources have, and a reference point
# behind what random search finds.
PROBLEMS = {
    "ZDT1": (zdt1, 30, (1.1, 6.0)),
    "DTLZ2": (dtlz2, 12, (2.0, 2.0, 2.0)),
}


class Search(BaseTuner):
    """Tries points with a function of their values instead of a model.

    Args:
        oracle: `keras_tuner.Oracle`.
        function: Callable of a dict of values, to a dict of objectives.
        directory: Path.
    """

    def __init__(self, oracle, function, directory):
        super().__init__(oracle, directory=str(directory), project_name="s")
        self.function = function
        oracle.verbose = 0

    def run_trial(self, trial):
        """Return what the function makes of the values."""
        results = self.function(dict(trial.hyperparameters.values))
        return {**results, "multi_objective": sum(results.values())}


def search(spec, problem, variables, max_trials, seed, directory):
    """Search a problem.

    Args:
        spec: String, the spec of an oracle.
        problem: Callable of an array of variables in [0, 1].
        variables: Integer, how many there are.
        max_trials: Integer.
        seed: Integer from 1 on.
        directory: Path of a new folder.

    Returns:
        Float array `(trials, objectives)`.
    """
    names = [f"x{number}" for number in range(variables)]
    space = keras_tuner.HyperParameters()
    for name in names:
        space.Float(name, 0.0, 1.0)
    points = []

    def function(values):
        points.append(problem(np.array([values[name] for name in names])))
        return {f"f{n}": float(value) for n, value in enumerate(points[-1])}

    count = len(problem(np.zeros(variables)))
    oracle = oracles.build(
        spec,
        objective=[keras_tuner.Objective(f"f{n}", "min") for n in range(count)],
        max_trials=max_trials,
        hyperparameters=space,
        seed=seed,
    )
    Search(oracle, function, directory).search()
    return np.array(points)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=200)
    given = parser.parse_args()
    print(f"# Hypervolume after {given.trials} trials, {given.seeds} seeds\n")
    print(
        f"{datetime.date.today()}, {platform.machine()}, "
        f"{os.cpu_count()} cores: `python -m benchmarks.pareto_oracle`\n"
    )
    print(
        "| problem | reference point | oracle | mean | deviation | least "
        "| largest |\n|---|---|---|---|---|---|---|"
    )
    for name, (problem, variables, reference) in PROBLEMS.items():
        for spec in SPECS:
            volumes = []
            for seed in range(1, given.seeds + 1):
                with tempfile.TemporaryDirectory() as folder:
                    points = search(
                        spec, problem, variables, given.trials, seed, folder
                    )
                volumes.append(pareto.hypervolume(points, reference))
            print(
                f"| {name} | {reference} | `{spec}` | {np.mean(volumes):.3f} "
                f"| {np.std(volumes):.3f} | {min(volumes):.3f} "
                f"| {max(volumes):.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
