"""Export of a run's model, with its size, latency and accuracy measured."""

import functools
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np

from cb.evaluation.opened_run import OpenedRun
from cb.export import CompactionReport
from cb.export import compact
from cb.export import compare
from cb.export import two_of_four
from cb.export.forms import WHOLE
from cb.export.measurement import Measured
from cb.export.saving import Goal
from cb.export.saving import check_form
from cb.text import paragraph
from cb.training.data import training_sample
from cb.training.scoring import score

# Training examples that int8 is calibrated with.
CALIBRATION = 256


def export_run(
    run: OpenedRun,
    form: str = "auto",
    batch_sizes: Sequence[int] = (1, 128),
    goal: Goal = "speed",
) -> list[Measured]:
    """Write a checkpoint of a run in a form and measure its gain.

    Args:
        run: `OpenedRun`; `export/` in its folder is replaced.
        form: As in `cb.export.save`; int8 is calibrated with training
            examples.
        batch_sizes: Integers, examples in a call.
        goal: As in `cb.export.save`.

    Returns:
        List of `Measured`: the dense form, LiteRT in float32, and what was
        written or could have been, by all that runs it.

    Raises:
        InputError: If the form is unknown or several checkpoints are named.
    """
    check_form(form, goal)
    run.require_single("export")
    run.load(run.checkpoint)
    path = str(run.results.export)
    found = compare(
        run.model,
        path,
        form,
        batch_sizes,
        representative=calibration(run),
        goal=goal,
        score=functools.partial(accuracy, run),
    )
    if found.form not in WHOLE:
        compact(run.model, report=_print_compaction)
    if found.form == "onnx":
        fits = [*two_of_four(path).values()]
        print(f"Two of four for TensorRT: {sum(fits)} of {len(fits)} kernels")
    print(found)
    print(f"Export       {path} ({found.form})")
    return found.rows


def calibration(run: OpenedRun) -> np.ndarray:
    """Return training examples of a run, to calibrate int8 with."""
    number = min(CALIBRATION, len(run.data.examples))
    images, _ = training_sample(run.config, run.data, number)
    return images


def accuracy(run: OpenedRun, predict: Callable[[Any], Any]) -> float:
    """Return the accuracy of a function on the test examples of a run."""
    with run.data.decoded():
        batches = run.data.test.as_numpy_iterator()
        outputs = np.concatenate([predict(batch[0]) for batch in batches])
    labels = run.data.source.test.labels
    return score(outputs[: len(labels)], labels)["accuracy"]


def _print_compaction(report: CompactionReport) -> None:
    print(
        f"Dead channels: {report.removed} removed, parameters from "
        f"{report.before:,} to {report.after:,}"
    )
    for row in report.stops:
        print(paragraph(f"Nothing removed around {row.name}: {row.reason}"))
