"""Export of a run's model, with its size, latency and accuracy measured."""

import functools
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np

from cb.evaluation.opened_run import OpenedRun
from cb.export import CompactionReport
from cb.export import compact
from cb.export import two_of_four
from cb.export.forms import WHOLE
from cb.export.measurement import GAIN
from cb.export.measurement import Measured
from cb.export.saving import Goal
from cb.export.saving import check_form
from cb.export.saving import export
from cb.text import paragraph
from cb.text import table
from cb.training.data import training_sample
from cb.training.scoring import score

# Training examples that int8 is calibrated with.
CALIBRATION = 256
# What a user has without sparsity, to compare with.
BESIDE = ("dense", "lite")


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
    written, found, left_out = export(
        run.model,
        path,
        form,
        batch_sizes,
        representative=calibration(run),
        goal=goal,
        beside=BESIDE,
        score=functools.partial(accuracy, run),
    )
    if written not in WHOLE:
        compact(run.model, report=_print_compaction)
    if written == "onnx":
        fits = [*two_of_four(path).values()]
        print(f"Two of four for TensorRT: {sum(fits)} of {len(fits)} kernels")
    for name, reason in left_out.items():
        print(paragraph(f"Not as {name}: {reason}"))
    print(describe(found))
    print(f"Export       {path} ({written})")
    return found


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


def describe(found: Sequence[Measured]) -> str:
    """Format the measurements as a table, with a conclusion.

    Args:
        found: List of `Measured`. Speed is compared with LiteRT in float32,
            which a user has without sparsity; or with the first if that is
            not there.

    Returns:
        String of several lines.
    """
    usual = next((one for one in found if one.label == "lite"), found[0])
    sizes = [f"ms for {size}" for size in usual.latencies]
    lines = [("form", "bytes", *sizes, "gain", "accuracy")]
    runtimes: dict[str, list[str]] = {}
    for item in found:
        times = [f"{one.median * 1e3:.3f}" for one in item.latencies.values()]
        accuracy = "" if item.accuracy is None else f"{item.accuracy:.4f}"
        cells = (f"{item.gain(usual):.2f}", accuracy)
        lines.append((item.label, f"{item.size:,}", *times, *cells))
        runtimes.setdefault(item.runtime, []).append(item.label)
    threads = next(iter(usual.latencies.values())).threads
    notes = [
        f"gain: times as fast as {usual.label}, the geometric mean; "
        f"threads: {threads}",
        *(f"{name}: {'; '.join(of)}" for name, of in runtimes.items()),
    ]
    text = "\n".join(
        [
            table(lines, numbers=tuple(range(1, len(lines[0])))),
            *map(paragraph, notes),
        ]
    )
    best = max(found, key=lambda item: item.gain(usual))
    if best.gain(usual) < GAIN:
        return f"{text}\nNo gain: nothing is faster than {usual.label}."
    return f"{text}\nFastest: {best.label}, {best.gain(usual):.2f} times."


def _print_compaction(report: CompactionReport) -> None:
    print(
        f"Dead channels: {report.removed} removed, parameters from "
        f"{report.before:,} to {report.after:,}"
    )
    for row in report.stops:
        print(paragraph(f"Nothing removed around {row.name}: {row.reason}"))
