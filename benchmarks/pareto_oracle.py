"""Hypervolume of samplers on problems that cost nothing, ten seeds.

    python -m benchmarks.pareto_oracle

appends what is missing to `pareto_oracle.csv`, in parallel processes of low
priority, and writes `pareto_oracle.md`. Run it again after an interruption;
`--time` measures the seconds of a proposal instead, on a quiet machine.

The problem `electricity` is the space of `experiments/sweeps/electricity.yaml`
with a random forest in place of the trainings. It is fitted, with a fixed seed,
to the 180 trainings that are recorded in `experiments/sweeps/electricity`;
`experiments/sweeps/electricity.py` has their commands.
"""

import argparse
import concurrent.futures
import csv
import datetime
import functools
import multiprocessing
import os
import pathlib
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

import keras_tuner
import numpy as np
from keras_tuner.engine.base_tuner import BaseTuner
from sklearn.ensemble import RandomForestRegressor

from cb.tuning import oracles
from cb.tuning import pareto
from cb.tuning import proposals
from cb.tuning.coordinates import Coordinates
from cb.tuning.reading import read_sweep
from cb.tuning.space_file import read_space

FILE = pathlib.Path(__file__).with_suffix(".csv")
SECONDS = FILE.with_name("pareto_oracle_seconds.csv")
RECORDED = pathlib.Path(__file__).parents[1] / "experiments" / "sweeps"
HEADER = ("problem", "oracle", "seed", "trials", "hypervolume")
MARKS = (50, 100, 200)
SPECS = (
    "pareto",
    "pareto(sampler='tpe')",
    "pareto(sampler='nsga2')",
    "random",
    "latin_hypercube",
)
# The first is `auto`, which takes `gp`; most of its searches are short.
SHORT, LONG = 50, "DTLZ2, 12 variables"
# keras-tuner draws each value with the next seed, so that seeds in a row try
# the same points; `cb tune` scatters the seeds of all oracles.
APART = 10**6


class Problem(NamedTuple):
    """A problem to minimize.

    Attributes:
        function: Callable of a dict of values to a sequence of objectives.
        space: `keras_tuner.HyperParameters`.
        reference: Tuple of floats, for the hypervolume.
    """

    function: Callable
    space: keras_tuner.HyperParameters
    reference: tuple[float, ...]


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


def continuous(function, variables, reference):
    """Make a problem of a function of variables in `[0, 1]`."""
    names = [f"x{number}" for number in range(variables)]
    space = keras_tuner.HyperParameters()
    for name in names:
        space.Float(name, 0.0, 1.0)
    return Problem(
        lambda values: function(np.array([values[name] for name in names])),
        space,
        reference,
    )


@functools.cache
def forest():
    """Make the mixed, conditional problem of recorded trainings."""
    space = read_space(str(RECORDED / "electricity.yaml")).hyperparameters()
    coordinates = Coordinates(space.space)
    sweeps = [
        read_sweep(RECORDED / "electricity" / name)
        for name in ("random", "latin_hypercube", "pareto")
    ]
    points = [point for sweep in sweeps for point in sweep.points]
    rows = np.array([coordinates.row(point.values) for point in points])
    results = np.concatenate([sweep.minimized() for sweep in sweeps])[:, :2]
    results[:, 1] = np.log(results[:, 1])
    trees = RandomForestRegressor(200, random_state=0)
    trees.fit(coordinates.features(rows), results)

    def function(values):
        row = coordinates.row(values)[None]
        error, flops = trees.predict(coordinates.features(row))[0]
        return error, np.exp(flops)

    # All examples wrong, and the FLOPs of the largest dense network.
    return Problem(function, space, (1.0, 399_362.0))


PROBLEMS = {
    "ZDT1, 10 variables": lambda: continuous(zdt1, 10, (1.1, 6.0)),
    "ZDT1, 30 variables": lambda: continuous(zdt1, 30, (1.1, 6.0)),
    LONG: lambda: continuous(dtlz2, 12, (2.0, 2.0, 2.0)),
    "Forest of recorded trainings": forest,
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


def search(spec, problem, max_trials, seed, directory):
    """Search a problem.

    Args:
        spec: String, the spec of an oracle.
        problem: `Problem`.
        max_trials: Integer.
        seed: Integer from 1 on.
        directory: Path of a new folder.

    Returns:
        Float array `(trials, objectives)`.
    """
    points = []

    def function(values):
        points.append(problem.function(values))
        return {f"f{n}": float(value) for n, value in enumerate(points[-1])}

    names = [f"f{n}" for n in range(len(problem.reference))]
    oracle = oracles.build(
        spec,
        objective=[keras_tuner.Objective(name, "min") for name in names],
        max_trials=max_trials,
        hyperparameters=problem.space.copy(),
        seed=seed * APART if spec == "random" else seed,
    )
    # There is nothing to resume.
    oracle.save = oracle._save_trial = lambda *_: None
    Search(oracle, function, directory).search()
    return np.array(points)


def run(name, spec, seed):
    """Return the rows of a problem, an oracle and a seed."""
    problem = PROBLEMS[name]()
    with tempfile.TemporaryDirectory() as folder:
        short = spec == "pareto" and name != LONG
        trials = SHORT if short else max(MARKS)
        points = search(spec, problem, trials, seed, folder)
    return [
        (name, spec, seed, trials, pareto.hypervolume(part, problem.reference))
        for trials in MARKS
        if len(part := points[:trials]) == trials
    ]


def missing(seeds):
    """List what the file lacks."""
    with open(FILE, newline="", encoding="utf-8") as file:
        done = {tuple(row[:3]) for row in csv.reader(file)}
    return [
        (name, spec, seed)
        for part in (SPECS[:2], SPECS[2:])
        for seed in range(1, seeds + 1)
        for name in PROBLEMS
        for spec in part
        if (name, spec, str(seed)) not in done
    ]


def table():
    """Return the page: the mean and the range over seeds."""
    with open(FILE, newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    groups = {}
    for row in rows:
        key = row["problem"], row["oracle"], int(row["trials"])
        groups.setdefault(key, []).append(float(row["hypervolume"]))
    seeds = len({row["seed"] for row in rows})
    lines = [
        f"# Hypervolume of samplers, up to {seeds} seeds",
        "",
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} "
        "cores: `python -m benchmarks.pareto_oracle`. Mean of the seeds, "
        "the least and the largest, and how many seeds there are. `pareto` "
        "takes `gp` for all of these.",
    ]
    with open(SECONDS, newline="", encoding="utf-8") as file:
        lines += [
            "",
            "Seconds of a proposal of `gp` on DTLZ2, three objectives: "
            + "; ".join(
                f"{row['median']} after {row['trials']} trials (at most "
                f"{row['largest']})"
                for row in csv.DictReader(file)
            )
            + ".",
        ]
    for name, make in PROBLEMS.items():
        lines += [
            "",
            f"## {name}, reference {make().reference}",
            "",
            "| oracle |" + "".join(f" {n} trials |" for n in MARKS),
            "|---|" + "---|" * len(MARKS),
        ]
        for spec in SPECS:
            cells = [groups.get((name, spec, trials)) for trials in MARKS]
            text = [
                f"{np.mean(c):.3f} ({min(c):.3f} to {max(c):.3f}, {len(c)})"
                if c
                else ""
                for c in cells
            ]
            lines.append(f"| `{spec}` | {' | '.join(text)} |")
    return "\n".join(lines) + "\n"


def seconds():
    """Return the seconds of proposals after trials of DTLZ2, and print them."""
    problem = PROBLEMS[LONG]()
    tried = []
    for number in range(200):
        values = proposals.design(problem.space.space, number, 0)
        objectives = problem.function(values)
        tried.append(proposals.Tried(values, objectives, {}))
    with open(SECONDS, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("trials", "median", "largest"))
        for trials in MARKS:
            found = []
            for seed in range(5):
                started = time.perf_counter()
                proposals.propose(
                    problem.space.space, tried[:trials], [], 10, seed
                )
                found.append(time.perf_counter() - started)
            row = trials, round(statistics.median(found), 2), max(found)
            print(*row)
            writer.writerow((*row[:2], round(row[2], 2)))


def main():
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--time", action="store_true")
    given = parser.parse_args()
    if given.time:
        seconds()
        return
    if not FILE.exists():
        FILE.write_text(",".join(HEADER) + "\n", "utf-8")
    # Of the processes, which import NumPy later.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        given.processes, context, os.nice, (19,)
    ) as pool:
        waiting = [pool.submit(run, *one) for one in missing(given.seeds)]
        for done in concurrent.futures.as_completed(waiting):
            with open(FILE, "a", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(done.result())
    FILE.with_suffix(".md").write_text(table(), "utf-8")


if __name__ == "__main__":
    main()
