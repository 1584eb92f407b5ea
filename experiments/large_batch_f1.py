r"""Show in short trainings what large batches cost F1, as in the poster.

    python -m experiments.large_batch_f1 --data_dir=DIR [--help]
    python -m experiments.large_batch_f1 --dataset=digits --epochs=20 \
        --small=64 --large=512

`python -m experiments.table large_batch` is the whole of the experiment; this
trains the same arms for fewer epochs, with smaller batches or on digits, half
an hour or some minutes for three seeds, and measures how far weights move.
`published` has what the published code does, `corrected` leaves its mistakes
out. No example is held out, nothing is selected, and the last epoch is
scored.

Finished runs are skipped, and a killed one is resumed. Table, figures and the
numbers behind them are written beside the runs.

Hoffer et al., 2017, https://arxiv.org/abs/1705.08741.
"""

import argparse
import csv
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from cb.config import layered
from cb.errors import argument_error
from cb.errors import guarded
from cb.plots import curves
from cb.plots.figure import draw
from cb.plots.reading import Run
from cb.plots.reading import read_run
from cb.training.train import train as train_run
from experiments.ours import Ours
from experiments.published import ACCURACY
from experiments.published import by_name
from experiments.tables import big_batch

ARMS = ("SB", "LB", "+LR", "+GBN", "+RA")
POSTER = dict(zip(ARMS, big_batch.ROWS["f1"].accuracies, strict=True))
SEEDS = (0, 1, 2)
# Learning rates of the published regime; each holds a fifth of the training,
# the last one for what is left.
RATES = (0.1, 0.01, 0.001, 1e-4)
# How far images are shifted.
SHIFTS = {"mnist": 2, "digits": 1}
# Ends of the names of the flagfiles, and what the images are besides.
MODES = {"corrected": ("", ""), "published": ("_published", "|flip")}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data_dir", help="folder of prepared data sets")
    parser.add_argument("--dataset", default="mnist", choices=SHIFTS)
    parser.add_argument("--runs", default="runs/large_batch_f1")
    parser.add_argument("--modes", nargs="+", default=[*MODES], choices=MODES)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--small", type=int, default=128)
    parser.add_argument("--large", type=int, default=1024)
    return parser.parse_args()


def regime(epochs: int) -> str:
    """Return the published regime, as long as the training."""
    fifth = max(epochs // 5, 1)
    phases = [
        f"{n * fifth}: {{learning_rate: {r}}}" for n, r in enumerate(RATES)
    ]
    phases[0] = (
        f"0: {{optimizer: sgd, learning_rate: {RATES[0]}, momentum: 0.9, "
        "weight_decay: 0.0001}"
    )
    return f"{{{', '.join(phases)}}}"


def flags(given: argparse.Namespace, mode: str, arm: str, seed: int) -> dict:
    """Return the flags of a run: those of the table, made shorter."""
    suffix, flip = MODES[mode]
    column = arm.strip("+").lower()
    batch = given.small if arm == "SB" else given.large
    return {
        **by_name()[f"big_batch/f1_{column}{suffix}"].flags,
        **big_batch.flags_of_column(
            column, batch, given.small, given.small, published=bool(suffix)
        ),
        "augmentation": f"pad_crop({SHIFTS[given.dataset]}){flip}",
        "dataset": given.dataset,
        "data_dir": given.data_dir,
        "regime": regime(given.epochs),
        "epochs": given.epochs,
        "evaluate_test": False,
        "seed": seed,
        "run_dir": str(folder(given, mode, arm, seed)),
    }


def folder(given, mode: str, arm: str, seed: int) -> pathlib.Path:
    """Return the folder of a run."""
    name = f"{given.dataset}_{mode}_{arm.strip('+')}_{seed}"
    return pathlib.Path(given.runs) / name


def train(given: argparse.Namespace) -> None:
    """Train all runs that are not done.

    Raises:
        InputError: If the large batch is not the larger one.
    """
    if given.small >= given.large:
        raise argument_error(
            "large", "more than `small`", given.large, small=given.small
        )
    for mode in given.modes:
        for seed in SEEDS:
            for arm in POSTER:
                print(f"\n{mode}, {arm}, seed {seed}", flush=True)
                keras.backend.clear_session()
                train_run(*layered(None, flags(given, mode, arm, seed), []))


def finished(given, mode: str, arm: str) -> list[Run]:
    """Read the runs of an arm, those that are done."""
    folders = [folder(given, mode, arm, seed) for seed in SEEDS]
    return [
        read_run(str(run), arm)
        for run in folders
        if (run / "summary.json").exists()
    ]


def rows(given: argparse.Namespace):
    """Yield what is to be known of every run that is done."""
    for mode in given.modes:
        for arm in POSTER:
            for run in finished(given, mode, arm):
                fit, _ = curves.fit_distance(run)
                yield {
                    "mode": mode,
                    "arm": arm,
                    "seed": run.config.seed,
                    "batch_size": run.config.batch_size,
                    "updates": int(run.series["loss"].steps[-1]),
                    "accuracy": 100 * run.scores["accuracy"],
                    "distance": run.series[curves.DISTANCE].last,
                    "slope": fit.slope,
                    "r_squared": fit.r_squared,
                }


def print_table(found: list[dict]) -> None:
    """Print accuracies beside those of the poster, as Markdown."""
    print(f"| | {' | '.join(POSTER)} |\n|---|{'---|' * len(POSTER)}")
    print(
        f"| poster, MNIST | {' | '.join(f'{v:.2f}' for v in POSTER.values())} |"
    )
    for mode in dict.fromkeys(row["mode"] for row in found):
        cells = []
        for arm in POSTER:
            values = [
                row["accuracy"]
                for row in found
                if (row["mode"], row["arm"]) == (mode, arm)
            ]
            cells.append(str(Ours(ACCURACY, values, 0)) if values else "")
        print(f"| {mode} | {' | '.join(cells)} |")


def main() -> None:
    """Train, and write table and figures."""
    given = arguments()
    train(given)
    found = list(rows(given))
    folder = pathlib.Path(given.runs)
    with open(folder / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, found[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    for mode in given.modes:
        runs = [run for arm in POSTER for run in finished(given, mode, arm)[:1]]
        draw(curves.distance_figure(runs, f"distance_{mode}"), folder)
    print_table(found)


if __name__ == "__main__":
    guarded(main)
