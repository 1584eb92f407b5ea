"""Three oracles on Electricity side by side: table and figures.

    for oracle in pareto random latin_hypercube; do
        python tune.py --space=experiments/sweeps/electricity.yaml \
            --oracle=$oracle --max_trials=60 --seed=0 --directory=$oracle
    done
    python -m experiments.sweeps.electricity .

The first command wants `electricity.csv` in the folder where it is run: the
45,312 rows of OpenML data set 151. The second prints the table of
docs/sweeps.md, draws its figures and keeps the results beside this file;
without a folder it does so from the results that are kept.
"""

import dataclasses
import pathlib
import shutil
import sys

import numpy as np

from cb.plots.figure import draw
from cb.tuning import figures
from cb.tuning.reading import read_sweep

ORACLES = ("pareto", "random", "latin_hypercube")
HERE = pathlib.Path(__file__).resolve().parent
KEPT = HERE / "electricity"
FIGURES = HERE.parents[1] / "docs" / "figures"


def keep(folder):
    """Copy the results of finished sweeps beside this file."""
    for oracle in ORACLES:
        (KEPT / oracle).mkdir(parents=True, exist_ok=True)
        for name in ("sweep.json", "results.csv"):
            shutil.copy(folder / oracle / name, KEPT / oracle / name)


def table(sweeps):
    """Print a row a sweep."""
    curves, reference = figures.covered(sweeps)
    point = ", ".join(f"{value:.4g}" for value in reference)
    print(f"Reference point: {point}\n")
    print(
        "| oracle | trials | complete | least error | on the front "
        "| hypervolume after half | after all |\n|---|---|---|---|---|---|---|"
    )
    for sweep, curve in zip(sweeps, curves, strict=True):
        errors = sweep.minimized()[:, sweep.columns.index("Error")]
        trials = len({row["trial"] for row in sweep.rows})
        front = int(np.sum(sweep.layers() == 0))
        print(
            f"| `{sweep.label}` | {trials} | {len(curve)} "
            f"| {errors.min():.4f} | {front} "
            f"| {curve[len(curve) // 2 - 1]:.4f} | {curve[-1]:.4f} |"
        )


def main():
    """Print the table and draw the figures."""
    if len(sys.argv) > 1:
        keep(pathlib.Path(sys.argv[1]))
    sweeps = [read_sweep(KEPT / oracle) for oracle in ORACLES]
    table(sweeps)
    FIGURES.mkdir(parents=True, exist_ok=True)
    front = figures.front_figure(sweeps, "Error", "Inference")
    hypervolume = figures.hypervolume_figure(sweeps)
    draw(dataclasses.replace(front, name="sweeps_front"), FIGURES)
    draw(dataclasses.replace(hypervolume, name="sweeps_hypervolume"), FIGURES)


if __name__ == "__main__":
    main()
