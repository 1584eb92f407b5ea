"""A run's model exported, with what the export costs and gains."""

import pathlib
import tempfile
from collections.abc import Sequence

import keras

from cb.errors import InputError
from cb.evaluation.checkpoints import ALL
from cb.evaluation.checkpoints import LAST_FIVE
from cb.evaluation.checkpoints import load_checkpoint
from cb.evaluation.checkpoints import open_run
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
    run_dir: str,
    checkpoint: str = "last",
    data_dir: str | None = None,
    strategy: str = "auto",
    *,
    form: str = "auto",
    batch_sizes: Sequence[int] = (1, 128),
) -> list[Measured]:
    """Write a checkpoint of a run as a SavedModel, and say what it gains.

    Args:
        run_dir: String, the run folder; `export/` in it is replaced.
        checkpoint: String, name of one checkpoint.
        data_dir: String, folder of the data, if not the run's.
        strategy: Spec of a strategy.
        form: As of `cb.export.save`.
        batch_sizes: Integers, examples in a call.

    Returns:
        List of `Measured`: the dense form, what was written, and if that is
        sparse, what `cb.export.load` makes of it.

    Raises:
        InputError: If the run, the checkpoint or the form is not there.
    """
    if form not in FORMS:
        raise unknown("form", form, FORMS)
    if checkpoint in (ALL, LAST_FIVE):
        raise InputError(
            "Argument `export` needs the name of one checkpoint. "
            f"Received: checkpoint={checkpoint!r}"
        )
    opened = open_run(run_dir, checkpoint, data_dir, strategy)
    load_checkpoint(opened, checkpoint)
    path = str(opened.run.export)
    found = export(opened.model, path, form, batch_sizes)
    print(f"SavedModel   {path}")
    return found


def export(
    model: keras.Model, path: str, form: str, batch_sizes: Sequence[int]
) -> list[Measured]:
    """Save a model and print sizes and times beside the dense form's.

    Args:
        model: Keras model.
        path: String, the folder to write.
        form: As of `cb.export.save`.
        batch_sizes: Integers, examples in a call.

    Returns:
        As `export_run`.
    """
    written = save(model, path, form, batch_sizes)
    with tempfile.TemporaryDirectory() as folder:
        before = str(pathlib.Path(folder) / "dense")
        save(model, before)
        found = [measure("dense", before, batch_sizes)]
    if written != "dense":
        found.append(measure(written, path, batch_sizes))
        compact(model, report=_print_compaction)
    if written == "sparse":
        found.append(measure_loaded("sparse, in cb", path, batch_sizes))
    print(describe(found))
    return found


def describe(found: Sequence[Measured]) -> str:
    """Lay out what was measured, and conclude.

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
