"""Writes a run in the columns of the published large-batch code."""

import csv
from typing import Any
from typing import TextIO

import numpy as np

from cb.plots.curves import DISTANCE
from cb.plots.reading import Run

# The source has no other held-out examples than the test set.
TEST, VALIDATION = "test/", "validation/"
NAMES = {"error1": "accuracy", "error5": "top_5_accuracy"}


def write(run: Run, file: TextIO) -> None:
    """Write one row per epoch, with empty cells where a number is missing.

    Errors are percentages; those of `val` are of the test examples if they
    were scored after every epoch, as in the source. `step_dist_n0` is the
    distance of the weights of the first layer at the end of the epoch,
    interpolated between measurements in the logarithm of the step.

    Args:
        run: `Run`.
        file: Text file, open for writing.

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)
    """
    rows = [*_rows(run)]
    writer = csv.DictWriter(file, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _rows(run: Run):
    ends = run.series["loss"]
    first = next((n for n in run.series if n.startswith(f"{DISTANCE}/")), None)
    held_out = TEST if f"{TEST}loss" in run.series else VALIDATION
    parts = {"train": "", "val": held_out}
    for step, epoch in zip(ends.steps, ends.epochs, strict=True):
        row: dict[str, Any] = {"epoch": epoch}
        for part, prefix in parts.items():
            row[f"{part}_loss"] = _at(run, f"{prefix}loss", step)
        for column, name in NAMES.items():
            for part, prefix in parts.items():
                accuracy = _at(run, prefix + name, step)
                error = None if accuracy is None else 100 - 100 * accuracy
                row[f"{part}_{column}"] = error
        row["step_dist_n0"] = None
        if first is not None:
            steps, _, distances = run.series[first]
            row["step_dist_n0"] = float(
                np.interp(np.log(step), np.log(steps), distances)
            )
        yield row


def _at(run: Run, name: str, step: int) -> float | None:
    series = run.series.get(name)
    if series is None:
        return None
    found = series.values[series.steps == step]
    return float(found[0]) if found.size else None
