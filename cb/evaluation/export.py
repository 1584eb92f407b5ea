"""Export of a run's model, with its size and latency measured."""

import pathlib
import tempfile
from collections.abc import Sequence

import keras

from cb.evaluation.opened_run import OpenedRun
from cb.export import CompactionReport
from cb.export import compact
from cb.export import save
from cb.export.measurement import GAIN
from cb.export.measurement import Measured
from cb.export.measurement import measure
from cb.export.measurement import measure_loaded
from cb.export.saved_model import FORMS
from cb.registry import unknown
from cb.text import table


def export_run(
    run: OpenedRun, form: str = "auto", batch_sizes: Sequence[int] = (1, 128)
) -> list[Measured]:
    """Write a checkpoint of a run as a SavedModel and measure its gain.

    Args:
        run: `OpenedRun`; `export/` in its folder is replaced.
        form: As in `cb.export.save`.
        batch_sizes: Integers, examples in a call.

    Returns:
        List of `Measured`: the dense form, the written form, and if that is
        sparse, what `cb.export.load` makes of it.

    Raises:
        InputError: If the form is unknown or several checkpoints are named.
    """
    if form not in FORMS:
        raise unknown("form", form, FORMS)
    run.require_single("export")
    run.load(run.checkpoint)
    path = str(run.results.export)
    found = export(run.model, path, form, batch_sizes)
    print(f"SavedModel   {path}")
    return found


def export(
    model: keras.Model, path: str, form: str, batch_sizes: Sequence[int]
) -> list[Measured]:
    """Save a model and print size and latency beside the dense form's.

    Args:
        model: Keras model.
        path: String, the folder to write.
        form: As in `cb.export.save`.
        batch_sizes: Integers, examples in a call.

    Returns:
        As in `export_run`.
    """
    written = save(model, path, form, batch_sizes)
    with tempfile.TemporaryDirectory() as folder:
        before = str(pathlib.Path(folder) / "dense")
        save(model, before)
        found = [measure("dense", before, batch_sizes)]
    if written == "engine":
        found.append(measure_loaded(written, path, batch_sizes))
    elif written != "dense":
        found.append(measure(written, path, batch_sizes))
        compact(model, report=_print_compaction)
    if written == "sparse":
        found.append(measure_loaded("sparse, in cb", path, batch_sizes))
    print(describe(found))
    return found


def describe(found: Sequence[Measured]) -> str:
    """Format the measurements as a table, with a conclusion.

    Args:
        found: List of `Measured`, the dense form first.

    Returns:
        String of several lines.
    """
    dense = found[0]
    sizes = [f"batch {size}, ms" for size in dense.latencies]
    lines = [("form", "bytes", *sizes, "times as fast")]
    for item in found:
        times = [f"{one.median * 1e3:.3f}" for one in item.latencies.values()]
        gain = f"{item.gain(dense):.2f}"
        lines.append((item.form, f"{item.size:,}", *times, gain))
    text = table(lines, numbers=tuple(range(1, len(lines[0]))))
    best = max(found, key=lambda item: item.gain(dense))
    if best.gain(dense) < GAIN:
        return f"{text}\nNo gain: nothing is faster than the dense form."
    return f"{text}\nFastest: {best.form}, {best.gain(dense):.2f} times."


def _print_compaction(report: CompactionReport) -> None:
    print(
        f"Dead channels: {report.removed} removed, parameters from "
        f"{report.before:,} to {report.after:,}"
    )
    for row in report.stops:
        print(f"Nothing removed around {row.name}: {row.reason}")
