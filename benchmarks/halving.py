"""Halved trials against full ones on Electricity: hypervolume and epochs.

python -m benchmarks.halving FOLDER "electricity(path='FILE.csv')" > \
    benchmarks/halving.md

The same 60 random points are tried in full and halved, with three seeds. Sweeps
stay in FOLDER, and one that was begun there is resumed. Without arguments, the
table is that of benchmarks/halving.csv, which the sweeps write.
"""

import csv
import datetime
import os
import pathlib
import platform
import subprocess
import sys

import numpy as np

from cb.tuning import pareto
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


def run(folder, dataset):
    """Run all sweeps that are not finished, and keep their results."""
    rows = []
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
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow([*HEADER, *OBJECTIVES])
                writer.writerows(rows)


def kept(seed, race, directory):
    """Return the rows to keep of a sweep."""
    return [
        [
            *(seed, race, row["trial"], row["status"]),
            row["epochs_trained"] if race == "halved" else row["epochs"],
            row["seconds"],
            *(row.get(name, "") for name in OBJECTIVES),
        ]
        for row in Results(directory / "results.csv").read()
    ]


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
    """Print the table."""
    if len(sys.argv) > 1:
        run(pathlib.Path(sys.argv[1]), sys.argv[2])
    with open(KEPT, newline="") as file:
        rows = list(csv.DictReader(file))
    print(
        f"# Halved trials against full ones, {TRIALS} points of Electricity\n"
    )
    print(
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} "
        "cores: `python -m benchmarks.halving`. The reference point is "
        f"{REFERENCE}.\n"
    )
    print(
        "| seed | hypervolume, full | halved | ratio | epochs, full | halved "
        "| ratio | seconds, full | halved |\n|" + "---|" * 9
    )
    halved = {row["seed"] for row in rows if row["race"] == "halved"}
    for seed in sorted(halved):
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


if __name__ == "__main__":
    main()
