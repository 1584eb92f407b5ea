"""Halved trials against full ones on Electricity: hypervolume and epochs.

python -m benchmarks.halving FOLDER "electricity(path='FILE.csv')" > \
    benchmarks/halving.md

The same 60 random points are tried in full and halved, with three seeds. Sweeps
stay in FOLDER, and one that was begun there is resumed. Without arguments, the
tables are those of benchmarks/halving.csv, which the sweeps write.

A trial that is taken up again has the bits of one that never stopped, so that
the errors of full trials, epoch by epoch, tell what halving makes of the same
points in any other order: the second table.
"""

import csv
import datetime
import os
import pathlib
import platform
import subprocess
import sys

import numpy as np

from cb.runs.long_csv import METRICS_HEADER
from cb.runs.long_csv import LongCsv
from cb.tuning import pareto
from cb.tuning.racing import Climb
from cb.tuning.racing import parse_racing
from cb.tuning.racing import promoted
from cb.tuning.results import Results

ROOT = pathlib.Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "halving.csv"
SPACE = ROOT / "benchmarks" / "halving.yaml"
TRIALS, SEEDS = 60, (0, 1, 2)
RACES = {"full": "folds", "halved": "halving(eta=3, least=0.1)"}
# All wrong, at the FLOPs of the largest network of the space, dense: of each
# connection a product and a sum, of each unit a bias and an activation.
LAYERS = (6, 64, 64, 2)
DENSE = sum(
    2 * inputs * units + 2 * units
    for inputs, units in zip(LAYERS, LAYERS[1:], strict=False)
)
REFERENCE = (1.0, float(DENSE))
HEADER = ("seed", "race", "trial", "status", "epochs", "seconds")
OBJECTIVES = ("Error", "Inference")
# Errors after each epoch, of full trials.
CURVE = "errors"
ORDERS = 20


def run(folder, dataset):
    """Run all sweeps that are not finished, and keep their results."""
    rows = [[*HEADER, *OBJECTIVES, CURVE]]
    for seed in SEEDS:
        for race, spec in RACES.items():
            directory = folder / f"{race}_{seed}"
            command = [
                *(sys.executable, str(ROOT / "tune.py"), f"--space={SPACE}"),
                *(f"--dataset={dataset}", "--oracle=random", f"--seed={seed}"),
                *(f"--racing={spec}", f"--max_trials={TRIALS}"),
                "--objectives=val_error,inference_flops",
                f"--directory={directory}",
            ]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            subprocess.run(
                command, check=True, stdout=sys.stderr, env=environment
            )
            rows += kept(seed, race, directory)
            with open(KEPT, "w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)


def kept(seed, race, directory):
    """Return the rows to keep of a sweep."""
    return [
        [
            *(seed, race, row["trial"], row["status"]),
            row["epochs_trained"] if race == "halved" else row["epochs"],
            row["seconds"],
            *(row.get(name, "") for name in OBJECTIVES),
            curve(directory, row) if race == "full" else "",
        ]
        for row in Results(directory / "results.csv").read()
    ]


def curve(directory, row):
    """Return the errors of a trial after each epoch, as text."""
    run = directory / "runs" / row["trial"] / f"run_seed_{row['seed']}"
    metrics = LongCsv(run / "metrics.csv", METRICS_HEADER).read()
    errors = [
        1.0 - float(one["value"])
        for one in metrics
        if one["name"] == "validation/accuracy"
    ]
    return " ".join(map(str, errors))


def replay(rows):
    """Halve full trials that are recorded.

    Args:
        rows: Sequence of dicts of full trials, in the order in which they come.

    Returns:
        Tuple of the hypervolume of those that would be complete and of the
        epochs of all.
    """
    halving = parse_racing(RACES["halved"])
    trials, reached, waiting = {}, {}, [*reversed(rows)]
    by_name = {row["trial"]: row for row in rows}
    while True:
        found = promoted(trials, halving)
        if found is None and waiting:
            found = waiting.pop()["trial"], 0
        found = found or promoted(trials, halving, closing=True)
        if found is None:
            break
        name, rung = found
        errors = [*map(float, by_name[name][CURVE].split())]
        epochs = max(round(len(errors) / halving.rungs[rung]), 1)
        before = trials[name].scores if rung else []
        point = errors[epochs - 1], float(by_name[name][OBJECTIVES[1]])
        trials[name] = Climb([*before, point], epochs < len(errors))
        reached[name] = epochs
    points = [one.scores[-1] for one in trials.values() if not one.rests]
    return pareto.hypervolume(np.array(points), REFERENCE), sum(
        reached.values()
    )


def summary(rows):
    """Return hypervolume, epochs and seconds of the trials of a sweep.

    Only trials that are complete count for the hypervolume.
    """
    complete = [row for row in rows if row["status"] == "complete"]
    points = [[float(row[name]) for name in OBJECTIVES] for row in complete]
    volume = pareto.hypervolume(np.array(points), REFERENCE)
    epochs = sum(int(row["epochs"]) for row in rows)
    return volume, epochs, sum(float(row["seconds"]) for row in rows)


def main():
    """Print the tables."""
    if len(sys.argv) > 1:
        run(pathlib.Path(sys.argv[1]), sys.argv[2])
    with open(KEPT, newline="") as file:
        rows = list(csv.DictReader(file))
    print(
        f"# Halved trials against full ones, {TRIALS} points of Electricity\n\n"
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} "
        "cores: `python -m benchmarks.halving`. The reference point is "
        f"{REFERENCE}."
    )
    compare(rows)
    replayed(rows)


def compare(rows):
    """Print a row for each seed whose trials were halved."""
    halved = sorted({row["seed"] for row in rows if row["race"] == "halved"})
    if not halved:
        return
    print(
        "\n| seed | hypervolume, full | halved | ratio | epochs, full | halved "
        "| ratio | seconds, full | halved |\n|" + "---|" * 9
    )
    for seed in halved:
        found = {
            race: summary(
                [r for r in rows if (r["seed"], r["race"]) == (seed, race)]
            )
            for race in RACES
        }
        (volume, epochs, seconds), (less, fewer, sooner) = found.values()
        print(
            f"| {seed} | {volume:.1f} | {less:.1f} | {less / volume:.4f} "
            f"| {epochs} | {fewer} | {fewer / epochs:.3f} "
            f"| {seconds:.0f} | {sooner:.0f} |"
        )


def replayed(rows):
    """Print a row for each seed, its full trials halved in random orders."""
    print(
        f"\nFull trials, halved in {ORDERS} random orders: the mean, and the "
        "least and largest.\n\n| seed | hypervolume, ratio | epochs, ratio |\n"
        "|---|---|---|"
    )
    random = np.random.default_rng(0)
    for seed in sorted({row["seed"] for row in rows}):
        full = [r for r in rows if r["seed"] == seed and r[CURVE]]
        whole, epochs, _ = summary(full)
        found = np.array(
            [replay(random.permutation(full)) for _ in range(ORDERS)]
        ) / (whole, epochs)
        cells = [
            f"{np.mean(c):.4f} ({min(c):.4f} to {max(c):.4f})" for c in found.T
        ]
        print(f"| {seed} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
