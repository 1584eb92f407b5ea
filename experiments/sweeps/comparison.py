"""Samplers on Electricity at equal epochs: hypervolume over epochs.

    python -m experiments.sweeps.comparison --directory=DIR
    python -m experiments.sweeps.comparison

The first command wants `electricity.csv`, the 45,312 rows of OpenML data set
151, in the folder where it is run. It searches the space of `electricity.yaml`
with every method and seed until `--epochs` epochs are trained, and keeps the
results in `comparison.csv`; run it again after an interruption. The second
draws the figure and prints the table of docs/sweeps.md.
"""

import argparse
import csv
import os
import pathlib
import subprocess
import sys

import numpy as np

from cb.plots import style
from cb.tuning import pareto
from cb.tuning.results import Results
from cb.tuning.run_request import COMPLETE

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEPT = HERE / "comparison.csv"
FIGURE = ROOT / "docs" / "figures" / "sweeps_samplers.png"
HALVED = "gp_halved"
METHODS = {
    "random": "random",
    "latin_hypercube": "latin_hypercube",
    "tpe": "pareto(sampler='tpe')",
    "nsga2": "pareto(sampler='nsga2')",
    "gp": "pareto(sampler='gp')",
    HALVED: "pareto(sampler='gp')",
}
OBJECTIVES = ("Error", "Inference", "Training")
# All examples wrong, and the FLOPs of the largest dense network of the space:
# of one example, and of 8 epochs of 25,088, whose steps take three times that.
REFERENCE = (1.0, 399_362.0, 3 * 399_362.0 * 25_088 * 8)
HEADER = ("method", "seed", "epochs", *OBJECTIVES)
# Trials at first, and that are added until the epochs are reached. A hypercube
# has one design for all of them; its trials have three epochs and more. Those
# that are halved begin as many as have a third of the epochs.
TRIALS, MORE, EACH, PART = 20, 10, 3, 3


def search(method, seed, epochs, directory):
    """Run a sweep until enough epochs are trained.

    Args:
        method: String, of `METHODS`.
        seed: Integer.
        epochs: Integer.
        directory: Path, for the folders of all sweeps.

    Returns:
        List of rows of `HEADER`.
    """
    designed, halved = method == "latin_hypercube", method == HALVED
    trials = epochs // EACH if designed else TRIALS * (PART if halved else 1)
    folder = directory / f"{method}_{seed}"
    while True:
        command = [
            *(sys.executable, str(ROOT / "tune.py")),
            f"--space={HERE / 'electricity.yaml'}",
            f"--oracle={METHODS[method]}",
            *(f"--max_trials={trials}", f"--seed={seed}"),
            *(["--racing=halving(eta=3, least=0.1)"] if halved else []),
            f"--directory={folder}",
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, check=True, env=environment)
        rows = [
            (method, seed, trained, *map(row.get, OBJECTIVES))
            if row["status"] == COMPLETE
            else (method, seed, trained, *[None] * len(OBJECTIVES))
            for row, trained in spent(Results(folder / "results.csv"), halved)
        ]
        if sum(row[2] for row in rows) >= epochs:
            return rows
        trials += MORE
        if designed:
            folder = directory / f"{method}_{seed}_{trials}"


def spent(results, halved):
    """Yield the rows of a sweep as they came, and the epochs of each."""
    before = {}
    for row in results.history():
        trained = row.get("epochs", 0)
        if halved:
            trained = row["epochs_trained"] - before.get(row["trial"], 0)
            before[row["trial"]] = row["epochs_trained"]
        yield row, trained


def curve(rows):
    """Return the hypervolume after each trial, and the epochs until then."""
    epochs = np.cumsum([int(row["epochs"]) for row in rows])
    # Infinite where a trial has no result, which adds nothing.
    points = [
        [float(row[name] or "inf") for name in OBJECTIVES] for row in rows
    ]
    whole = pareto.hypervolumes(np.array(points), REFERENCE)
    return epochs, whole / np.prod(REFERENCE)


def report(epochs):
    """Draw the figure and print the table."""
    with open(KEPT, newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    seeds = sorted({row["seed"] for row in rows})
    grid = np.arange(1, epochs + 1)
    marks = [epochs // 4, epochs // 2, epochs]
    print("| method |" + "".join(f" {n} epochs |" for n in marks))
    print("|---|" + "---|" * len(marks))
    with style.drawing(FIGURE) as axes:
        for method, look in zip(METHODS, style.lines(), strict=False):
            found = []
            for seed in seeds:
                own = [
                    row
                    for row in rows
                    if row["method"] == method and row["seed"] == seed
                ]
                if own:
                    at, volume = curve(own)
                    before = np.searchsorted(at, grid, side="right")
                    found.append(np.concatenate([[0.0], volume])[before])
            if not found:
                continue
            axes.plot(grid, np.mean(found, axis=0), label=method, **look)
            # Bands of several methods would mix to grey.
            for one in found:
                axes.plot(grid, one, **{**look, "alpha": 0.35, "lw": 0.8})
            cells = [
                f"{np.mean(column):.4f} ({min(column):.4f} to "
                f"{max(column):.4f})"
                for column in np.array(found)[:, [n - 1 for n in marks]].T
            ]
            print(f"| `{method}` | {' | '.join(cells)} |")
        axes.set(
            title=f"Electricity: means of {len(seeds)} seeds, thin: each seed",
            xlabel="epochs of all trials",
            ylabel="hypervolume, share of the box",
            ylim=(0.7, 0.78),
        )
        axes.legend(loc="lower right")


def main():
    """Search what is missing, or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    if given.directory is None:
        report(given.epochs)
        return
    if not KEPT.exists():
        KEPT.write_text(",".join(HEADER) + "\n", "utf-8")
    for seed in range(given.seeds):
        for method in METHODS:
            text = KEPT.read_text("utf-8")
            if f"\n{method},{seed}," in text:
                continue
            rows = search(method, seed, given.epochs, given.directory)
            with open(KEPT, "a", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
