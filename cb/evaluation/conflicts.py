"""Bundles at the layers of a run's checkpoints, measured after training."""

import csv
import shutil
from collections.abc import Sequence

import numpy as np

from cb.bundles.history import integral
from cb.callbacks.bundle_monitor import log_bundles
from cb.errors import argument_error
from cb.evaluation.opened_run import OpenedRun
from cb.evaluation.scores import average_last
from cb.evaluation.scores import evaluate_each
from cb.metrics.recorder import PUBLISHED
from cb.metrics.recorder import Amplitude
from cb.metrics.recorder import Measurement
from cb.metrics.recorder import Recorder
from cb.plots.conflicts import draw_entropies
from cb.run_log.tensorboard import TensorBoard
from cb.runs.directory import RunDirectory
from cb.runs.long_csv import CONFLICTS_HEADER
from cb.runs.long_csv import LongCsv
from cb.text import paragraph
from cb.text import wrapped
from cb.training.compilation import training_step
from cb.training.data import training_sample

# The sample size of the published command line.
NUM_SAMPLES = 64


def evaluate_conflicts(
    run: OpenedRun,
    all_layers: bool = False,
    num_samples: int = NUM_SAMPLES,
    published_columns: bool = False,
    amplitude: Amplitude | None = None,
    layers: str | Sequence[str] | None = None,
) -> dict[str, float]:
    """Score checkpoints of a run and measure the bundles of its layers.

    The bundles are those of the highest learning rate of the schedule and of
    the examples of an update: where a schedule ends at zero, no step could
    tell any examples apart. The examples are the same for all checkpoints:
    drawn with the run's seed from what it trains on, without augmentation.

    Args:
        run: `OpenedRun`.
        all_layers: Boolean, whether to measure all layers or only the last.
        num_samples: Integer, how many training examples.
        published_columns: Boolean, whether to write the results a second
            time, in the format of the published code, and to measure what it
            does: by the amplitude of the model, and branches too.
        amplitude: `"layer"` or `"model"`, as in
            `cb.metrics.recorder.Recorder`; `"layer"` by default.
        layers: As in `Recorder`, instead of `all_layers`: `"pool"` is the
            pooled vector, the last layer in the code of the paper.

    Returns:
        Dict of layer to the mean of its entropy over the checkpoints.

    Raises:
        InputError: If the data are missing, there are fewer examples than
            asked for, or the model has nothing to record.
    """
    if amplitude is None:
        amplitude = "model" if published_columns else "layer"
    if layers is not None and all_layers:
        raise argument_error("layers", "None with all_layers=True", layers)
    if layers is None:
        everything = PUBLISHED if published_columns else "all"
        layers = everything if all_layers else "last"
    directory, classes = run.results, run.data.source.num_classes
    x, labels = training_sample(run.config, run.data, num_samples)
    recorder = Recorder(run.model, layers, amplitude)
    # A model with nothing to record is refused before anything is written.
    recorder.names(x)
    step = training_step(run.config, run.data.training_length())
    step["num_classes"] = classes
    results, checks = [], []
    for result in evaluate_each(run):
        results.append(result)
        checks.append(recorder.measure(x, labels, **step))
    scores = average_last(run, results)
    table = np.array([[m.entropy for m in check] for check in checks])
    layers = [measured.layer for measured in checks[-1]]
    integrals = dict(zip(layers, integral(table).tolist(), strict=True))
    names = [result.name for result in results]
    LongCsv(directory.conflicts_file, CONFLICTS_HEADER).append(
        long_form(names, checks, num_samples, run.checkpoint, integrals)
    )
    # Replaced, so that no step is there twice.
    part = f"conflicts_{run.checkpoint}"
    shutil.rmtree(directory.tensorboard / part, ignore_errors=True)
    log = TensorBoard(directory.tensorboard)
    for number in range(len(results)):
        so_far = [one.step for one in results[: number + 1]]
        entropies = table[: number + 1]
        log_bundles(log, so_far, checks[number], entropies, classes, part)
    log.close()
    figure = directory.conflicts_file.with_suffix(".png")
    draw_entropies(table, names, layers, float(np.log(classes)), figure)
    print_conflicts(checks, integrals, num_samples)
    if published_columns:
        write_published(directory, scores, checks[-1], integrals)
    return integrals


def long_form(
    names: list[str],
    checks: list[list[Measurement]],
    num_samples: int,
    checkpoint: str,
    integrals: dict[str, float],
) -> list[tuple[str, str, str, float]]:
    """List all numbers one by one, the integrals under `checkpoint`.

    Args:
        names: Names of the checkpoints.
        checks: List of lists of `Measurement`, one list a checkpoint.
        num_samples: Integer.
        checkpoint: String, name of the checkpoints that the integrals are
            over.
        integrals: Dict of layer to mean entropy.

    Returns:
        List of `(checkpoint, layer, name, value)`.
    """
    rows: list[tuple[str, str, str, float]] = []
    for name, check in zip(names, checks, strict=True):
        for layer, bundles, entropy in check:
            rows.append((name, layer, "samples", num_samples))
            rows.append((name, layer, "bundles", bundles))
            rows.append((name, layer, "entropy", entropy))
    for layer, value in integrals.items():
        rows.append((checkpoint, layer, "integral", value))
    return rows


def write_published(
    run: RunDirectory,
    scores: dict[str, float],
    measured: list[Measurement],
    integrals: dict[str, float],
) -> None:
    """Write the two files of the published code, with its columns.

    Args:
        run: `RunDirectory`.
        scores: Dict of metric to its mean.
        measured: List of `Measurement` of the last checkpoint.
        integrals: Dict of layer to mean entropy.
    """
    rows = [(item.bundles, integrals[item.layer]) for item in measured]
    header = ("num_bundle", "bundle_entropy", "test_loss", "test_accuracy")
    last = (*rows[-1], scores["loss"], scores["accuracy"])
    # The published code writes no header for layers.
    tables = (("test.csv", [header, last]), ("conflicting_layers.csv", rows))
    run.published.mkdir(exist_ok=True)
    for name, table in tables:
        path = run.published / name
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(table)


def print_conflicts(
    checks: list[list[Measurement]],
    integrals: dict[str, float],
    num_samples: int,
) -> None:
    """Print one line for each layer."""
    text = (
        f"Bundles of {num_samples} training examples, at the last of "
        f"{len(checks)} checkpoint(s), and mean entropy over them:"
    )
    print(paragraph(text))
    for measured in checks[-1]:
        parts = (
            f"  {measured.layer}: {measured.bundles} bundles",
            f"entropy {measured.entropy:.4f}",
            f"mean {integrals[measured.layer]:.4f}",
        )
        print(wrapped(parts, indent=4))
