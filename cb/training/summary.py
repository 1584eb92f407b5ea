"""Summary of a run, and the lines printed before and after training."""

import shlex
import sys
from collections.abc import Iterable
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
from cb.runs.directory import RunDirectory
from cb.schedules import TrainingLength
from cb.text import shortened
from cb.training import compilation
from cb.training.data import Data

LONGEST = 200


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
        "run_dir": str(run.path),
    }


def moved(
    model: keras.Model, callbacks: Iterable[Reallocation], steps: int
) -> dict[str, Any]:
    """Summarize the reallocation events of a run, also of its earlier parts.

    Args:
        model: Trained Keras model.
        callbacks: The `Reallocation` of the run, none without masks.
        steps: Integer, optimizer steps of the run.

    Returns:
        Dict of JSON values.
    """
    found: dict[str, Any] = {}
    masks = {k.key: read(k.mask) != 0 for k in masked_kernels(model)}
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
            algorithm, algorithm.period(length), (0, steps), masks, state
        )
    return found


def print_start(
    config: Config, data: Data, model: keras.Model, run: RunDirectory
) -> None:
    """Print data, augmentation, folder and checkpoints of a run."""
    source = data.source
    print(
        f"{model.name} on {source.name}: {data.batches.size} training, "
        f"{len(data.held_out or ())} validation, "
        f"{len(source.test)} test examples"
    )
    print(shortened(data_line(source), LONGEST))
    print(f"Augmentation: {shortened(str(data.batches.chain), LONGEST)}")
    print(f"Run folder: {run.path}")
    if config.checkpoint_every:
        number = data.epochs // config.checkpoint_every
        megabytes = number * estimate_bytes(model) / 1e6
        print(
            f"Numbered checkpoints: {number}, about {megabytes:.1f} MB of disk"
        )
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
    print(f"CSR kernels: {', '.join(chosen)}")
    others = [f"{name} ({why})" for name, why in choice.items() if why]
    if others:
        print(f"Masked: {', '.join(others)}")


def csr_layers(model: keras.Model) -> list[str]:
    """List the names of the layers that train on CSR kernels."""
    kernels = masked_kernels(model)
    return [k.name for k in kernels if k.layer.fixed_connections]


def cost_lines(summary: dict[str, Any]) -> list[str]:
    """Return the lines of a summary about inference and training costs."""
    if "costs" not in summary:
        return []
    costs, training = summary["costs"], summary["training"]
    lines = [
        f"inference  {costs['macs']:,} MACs of {costs['dense_macs']:,}, "
        f"{costs['flops']:,} FLOPs of {costs['dense_flops']:,}",
        f"training   {training['total']:.3e} FLOPs of "
        f"{training['dense_total']:.3e}",
        f"storage    {costs['dense_bytes']:,} bytes, CSR "
        f"{costs['csr_bytes']:,}, bitmask {costs['bitmask_bytes']:,}, "
        f"SavedModel {costs['export_bytes']:,}",
    ]
    return lines + [
        f"not counted: {', '.join(kinds)} in {name}"
        for name, kinds in costs["unknown"].items()
    ]


def print_summary(summary: dict[str, Any]) -> None:
    """Print the closing summary."""
    row = "{:<24} {:>18} {:>10} {:>8} {:>8}"
    print()
    if summary["layers"]:
        print(row.format("layer", "shape", "weights", "asked", "kept"))
    for layer in summary["layers"]:
        shape, weights = "x".join(map(str, layer["shape"])), layer["weights"]
        asked, kept = layer["density_asked"], layer["active"] / weights
        cells = (f"{weights:,}", f"{asked:.4f}", f"{kept:.4f}")
        print(row.format(layer["layer"], shape, *cells))
    parameters = f"parameters {summary['parameters']:,}"
    if summary["layers"]:
        density = summary["active_weights"] / summary["masked_weights"]
        parameters = f"density {density:.4f}, {parameters}"
        parameters += f" of {summary['parameters_dense']:,}"
    print(parameters)
    if summary.get("csr_layers"):
        print(f"CSR kernels in {', '.join(summary['csr_layers'])}")
    if summary.get("reallocation/events"):
        events, dropped, grown = (summary[f"reallocation/{n}"] for n in COUNTED)
        print(f"events {events:,}, {dropped:,} dropped, {grown:,} grown")
    for line in summary.get("not_reached", ()):
        print(f"NOT REACHED: {line}")
    for line in cost_lines(summary):
        print(line)
    scores = "  ".join(
        f"{name} {value:.4f}" for name, value in summary["test"].items()
    )
    path = summary["run_dir"]
    logs = shlex.quote(f"{path}/tensorboard")
    print(
        f"test  {scores}\n"
        f"trained {summary['epochs']} epochs, {summary['seconds']} s\n"
        f"numbers      {path}/metrics.csv\n"
        f"checkpoints  {path}/checkpoints\n"
        f"SavedModel   {path}/export\n"
        f"TensorBoard  tensorboard --logdir {logs}"
    )
