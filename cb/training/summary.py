"""Summary of a run, and the lines printed before and after training."""

import shlex
import sys
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from cb.callbacks.checkpointing import estimate_bytes
from cb.callbacks.epoch_numbers import densities
from cb.callbacks.reallocation.callback import Reallocation
from cb.callbacks.reallocation.outcome import COUNTED
from cb.callbacks.reallocation.outcome import TOTALS
from cb.callbacks.reallocation.outcome import shortfalls
from cb.config import Config
from cb.conversion import Report
from cb.datasets.dataset_splits import DatasetSplits
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.registry import parse_spec
from cb.runs.directory import RunDirectory
from cb.schedules import TrainingLength
from cb.sparsity import granularity
from cb.text import paragraph
from cb.text import program
from cb.text import shortened
from cb.text import table
from cb.text import wrapped
from cb.training import compilation
from cb.training.data import Data
from cb.training.scoring import score_parts

LONGEST, LONGEST_NAME = 200, 32
# Of the name of a line in the summary.
LABEL = 11
# An export without zeros is named where they are this part of the bytes.
LEAST_SHARE = 0.2


def summarize(
    config: Config,
    model: keras.Model,
    reports: list[Report],
    scores: dict[str, float],
    run: RunDirectory,
) -> dict[str, Any]:
    """Summarize a finished run.

    Args:
        config: `Config`.
        model: Trained Keras model.
        reports: List of the `Report` of making it sparse, empty if it has no
            masks.
        scores: Dict of metric to value, on the test examples.
        run: `RunDirectory`.

    Returns:
        Dict of JSON values.
    """
    asked = {row.key: row.active for report in reports for row in report.rows}
    layers = []
    for kernel in masked_kernels(model):
        mask = read(kernel.mask) != 0
        row = {
            "layer": kernel.name,
            "shape": list(kernel.weight.shape),
            "weights": mask.size,
            "density_asked": asked[kernel.key] / mask.size,
            "active": int(np.count_nonzero(mask)),
        }
        layers.append(row)
    masked = sum(layer["weights"] for layer in layers)
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    active = sum(layer["active"] for layer in layers)
    return {
        "epochs": compilation.epochs(config),
        "layers": layers,
        "masked_weights": masked,
        "active_weights": active,
        "parameters_dense": trainable,
        "parameters": trainable - masked + active,
        "test": scores,
        "classes": int(model.output_shape[-1]),
        "reallocation": parse_spec(config.reallocation).name,
        "run_dir": str(run.path),
    }


def moved(
    model: keras.Model,
    callbacks: Iterable[Reallocation],
    steps: tuple[int, int],
) -> dict[str, Any]:
    """Summarize the reallocation events of a run, also of its earlier parts.

    Args:
        model: Trained Keras model.
        callbacks: The `Reallocation` of the run, none without masks.
        steps: Tuple of the optimizer step that the run began with, and of
            its last.

    Returns:
        Dict of JSON values.
    """
    found: dict[str, Any] = {}
    # As the algorithm saw them: without frozen kernels, of blocks.
    masks = {
        k.key: granularity.first_of_blocks(read(k.mask) != 0, k.block)
        for k in masked_kernels(model)
        if k.trained.trainable
    }
    for callback in callbacks:
        state = callback.get_state()
        totals = state.pop(TOTALS, np.zeros(len(COUNTED), int))
        for name, number in zip(COUNTED, totals, strict=True):
            found[f"reallocation/{name}"] = int(number)
        density = densities(model)["density"]
        found["reallocation/density"] = float(density)
        length = TrainingLength(callback.total_steps, callback.steps_per_epoch)
        algorithm = callback.algorithm
        found["not_reached"] = shortfalls(
            algorithm, algorithm.period(length), steps, masks, state
        )
    return found


def print_start(
    config: Config, data: Data, model: keras.Model, run: RunDirectory
) -> None:
    """Print data, augmentation, folder and checkpoints of a run."""
    source = data.source
    lines = [
        f"{model.name} on {source.name}: {data.batches.size} training, "
        f"{len(data.held_out or ())} validation, "
        f"{len(source.test)} test examples",
        shortened(data_line(source), LONGEST),
        f"Augmentation: {shortened(str(data.batches.chain), LONGEST)}",
        f"Run folder: {run.path}",
    ]
    if config.checkpoint_every:
        number = data.epochs // config.checkpoint_every
        megabytes = number * estimate_bytes(model) / 1e6
        lines.append(
            f"Numbered checkpoints: {number}, about {megabytes:.1f} MB of disk"
        )
    print(*map(paragraph, lines), sep="\n")
    sys.stdout.flush()


def data_line(source: DatasetSplits) -> str:
    """Return what the features and the classes of a data set are."""
    features = source.features_text
    if source.feature_names:
        features = f"{len(source.feature_names)} features: "
        features += ", ".join(source.feature_names)
    label = f" of label {source.label!r}" if source.label else ""
    names = source.class_names or ()
    classes = f": {', '.join(names)}" if names else ""
    return f"{source.num_classes} classes{label}{classes}; {features}"


def print_kernels(choice: dict[str, str]) -> None:
    """Print the layers on CSR kernels, and why other masked layers are not.

    Args:
        choice: Dict of the name of a layer to the reason, empty for CSR.
    """
    chosen = [name for name, reason in choice.items() if not reason]
    print(paragraph(f"CSR kernels: {', '.join(chosen)}"))
    others = [f"{name} ({why})" for name, why in choice.items() if why]
    if others:
        print(paragraph(f"Masked: {', '.join(others)}"))


def csr_layers(model: keras.Model) -> list[str]:
    """List the names of the layers that train on CSR kernels."""
    kernels = masked_kernels(model)
    return [k.name for k in kernels if k.layer.fixed_connections]


def print_summary(summary: dict[str, Any]) -> None:
    """Print the closing summary."""
    print()
    if summary["layers"]:
        rows: list[tuple[str, ...]] = [
            ("layer", "shape", "weights", "asked", "kept"),
            *map(_layer_cells, summary["layers"]),
        ]
        print(table(rows, numbers=(1, 2, 3, 4)))
        print("asked, kept: fractions of the weights that are active, not zero")
    lines = [_labelled(*line) for line in _lines(summary)]
    for text in summary.get("not_reached", ()):
        lines.append(paragraph(f"NOT REACHED: {text}"))
    print(*lines, *_export_lines(summary), sep="\n")


def _layer_cells(layer: Mapping[str, Any]) -> tuple[str, ...]:
    weights = layer["weights"]
    return (
        shortened(layer["layer"], LONGEST_NAME),
        "x".join(map(str, layer["shape"])),
        f"{weights:,}",
        f"{layer['density_asked']:.4f}",
        f"{layer['active'] / weights:.4f}",
    )


def _lines(summary: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield a name, and what is printed after it, for each line."""
    parameters = f"{summary['parameters']:,}"
    if summary["layers"]:
        density = summary["active_weights"] / summary["masked_weights"]
        parameters += f" of {summary['parameters_dense']:,}"
        yield "density", f"{density:.4f} of the weights that can be inactive"
    yield "parameters", parameters
    if summary.get("csr_layers"):
        yield "CSR kernels", *summary["csr_layers"]
    if summary.get("reallocation/events"):
        events, dropped, grown = (summary[f"reallocation/{n}"] for n in COUNTED)
        # Summaries of older runs do not name it.
        algorithm = summary.get("reallocation", "reallocation")
        yield (
            "events",
            f"{events:,} of {algorithm}: {dropped:,} connections dropped,",
            f"{grown:,} grown",
        )
    if "costs" in summary:
        yield from _cost_lines(summary["costs"], summary["training"])
    yield "test", *score_parts(summary["test"], summary.get("classes"))
    yield "trained", f"{summary['epochs']} epochs, {summary['seconds']} s"
    path = summary["run_dir"]
    yield "numbers", f"{path}/metrics.csv"
    yield "checkpoints", f"{path}/checkpoints"
    yield "SavedModel", f"{path}/export"
    logs = shlex.quote(f"{path}/tensorboard")
    yield "TensorBoard", f"tensorboard --logdir {logs}"


def _cost_lines(
    costs: Mapping[str, Any], training: Mapping[str, Any]
) -> Iterator[tuple[str, ...]]:
    yield (
        "inference",
        f"{costs['macs']:,} MACs of {costs['dense_macs']:,},",
        f"{costs['flops']:,} FLOPs of {costs['dense_flops']:,}",
    )
    yield (
        "training",
        f"{training['total']:.3e} FLOPs of {training['dense_total']:.3e}",
    )
    yield (
        "storage",
        f"weights {costs['dense_bytes']:,} bytes,",
        f"as CSR {costs['csr_bytes']:,},",
        f"with a bitmask {costs['bitmask_bytes']:,};",
        f"SavedModel {costs['export_bytes']:,}",
    )
    for name, kinds in costs["unknown"].items():
        yield "not counted", f"{', '.join(kinds)} in {name}"


def _export_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return what an export without zeros saves, and the command for it."""
    costs = summary.get("costs", {"export_bytes": 0})
    written = costs["export_bytes"]
    if not written:
        return []
    sparse = min(costs["csr_bytes"], costs["bitmask_bytes"])
    if costs["dense_bytes"] - sparse < LEAST_SHARE * written:
        return []
    text = (
        f"without its zeros about {sparse:,} bytes instead of {written:,}; to "
        "measure which form is the smallest and the fastest here:"
    )
    run = shlex.quote(summary["run_dir"])
    return [
        _labelled("export", *text.split()),
        f"  {program('evaluate')} --run_dir={run} --export=auto",
    ]


def _labelled(name: str, *parts: str) -> str:
    return wrapped([name.ljust(LABEL), *parts], " ", LABEL + 1)
