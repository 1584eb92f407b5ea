"""Depths at which fully connected networks stop learning MNIST.

    python -m experiments.fnn_depth_width DATA_DIR [RUN_DIR]

Trains 36 networks of depth and width 10 to 100 for two epochs, each a run
folder of its own, and measures the bundles of 512 training examples at the
last block. The same command resumes where it stopped; finished networks are
only read. Half an hour on one core.

Source: Peer et al., 2021 (https://arxiv.org/abs/2011.02956), figure 1, where a
line separates 176 networks that learn from those with conflicts.
"""

import argparse
import contextlib
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from cb.config import Config
from cb.errors import guarded
from cb.files.quiet import quiet_stderr
from cb.plots import style
from cb.runs.directory import RunDirectory
from cb.runs.long_csv import CONFLICTS_HEADER
from cb.runs.long_csv import EVALUATION_HEADER
from cb.runs.long_csv import LongCsv

SIDES = (10, 25, 40, 60, 80, 100)
NUM_SAMPLES = 512


def config(data_dir, run, depth, width):
    """Return the configuration of one network."""
    return Config(
        dataset="mnist",
        data_dir=data_dir,
        validation_fraction=0.0,
        augmentation="none",
        model=f"fnn(blocks={depth}, width={width})",
        sparsity=0.0,
        reallocation="static",
        optimizer="adam",
        learning_rate=1e-3,
        learning_rate_schedule="constant",
        batch_size=64,
        epochs=2,
        run_dir=str(run.path),
    )


def measured(run):
    """Return accuracy and entropy of a run, or `None` if not all is there."""
    if run.read_summary() is None or not run.conflicts_file.exists():
        return None
    (accuracy, *_) = (
        row["value"]
        for row in LongCsv(run.evaluation_file, EVALUATION_HEADER).read()
        if (row["checkpoint"], row["name"]) == ("last", "accuracy")
    )
    (entropy, *_) = (
        row["value"]
        for row in LongCsv(run.conflicts_file, CONFLICTS_HEADER).read()
        if (row["checkpoint"], row["name"]) == ("last", "entropy")
    )
    return float(accuracy), float(entropy)


def train_and_measure(chosen):
    """Train a network, or resume it, and measure its bundles."""
    import keras

    from cb.evaluation.conflicts import evaluate_conflicts
    from cb.evaluation.opened_run import OpenedRun
    from cb.training.train import train

    keras.backend.clear_session()
    train(chosen, {})
    evaluate_conflicts(OpenedRun(chosen.run_dir), num_samples=NUM_SAMPLES)


def network(data_dir, folder, depth, width):
    """Train and measure one network, if need be, and return its results."""
    run = RunDirectory(str(folder / f"depth_{depth}_width_{width}"))
    found = measured(run)
    if found is None:
        # Every network is traced anew, of which TensorFlow warns.
        with quiet_stderr(), open(folder / "log.txt", "a") as log:
            with contextlib.redirect_stdout(log):
                train_and_measure(config(data_dir, run, depth, width))
        found = measured(run)
    return found


def draw(table, file):
    """Draw accuracy and entropy over width and depth.

    Args:
        table: Array `(depths, widths, 2)` of accuracies and entropies, not a
            number where they are not known.
        file: Path of the PNG file.
    """
    with style.drawing(file, columns=2, size=(9.6, 4.4)) as both:
        for axes, values, title, unit, largest in (
            (both[0], 100 * table[..., 0], "Test accuracy", "percent", 100.0),
            (
                both[1],
                table[..., 1],
                "Bundle entropy, last block",
                "nats",
                np.log(10),
            ),
        ):
            image = axes.imshow(
                values,
                style.COLORMAP,
                vmin=0.0,
                vmax=largest,
                origin="lower",
                aspect="auto",
            )
            axes.grid(False)
            axes.set_title(title)
            axes.set_xticks(range(len(SIDES)), SIDES)
            axes.set_yticks(range(len(SIDES)), SIDES)
            axes.set_xlabel("width")
            axes.set_ylabel("depth")
            axes.figure.colorbar(image, label=unit)
            for (row, column), value in np.ndenumerate(values):
                if not np.isfinite(value):
                    continue
                axes.text(
                    column,
                    row,
                    f"{value:.2g}" if value < 10 else f"{value:.1f}",
                    color="white" if value < 0.6 * largest else "black",
                    horizontalalignment="center",
                    verticalalignment="center",
                )


def main():
    """Print one line for each network and draw them all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data_dir", help="folder of prepared data sets")
    parser.add_argument("run_dir", nargs="?", default="runs/fnn_depth_width")
    given = parser.parse_args()
    folder = pathlib.Path(given.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    print("| depth | width | test accuracy | entropy of the last block |")
    print("|---|---|---|---|")
    table = np.full((len(SIDES), len(SIDES), 2), np.nan)
    for row, depth in enumerate(SIDES):
        for column, width in enumerate(SIDES):
            accuracy, entropy = network(given.data_dir, folder, depth, width)
            table[row, column] = accuracy, entropy
            print(
                f"| {depth} | {width} | {accuracy:.4f} | {entropy:.4f} |",
                flush=True,
            )
        draw(table, folder / "depth_width.png")
    print(folder / "depth_width.png")


if __name__ == "__main__":
    guarded(main)
