"""What is worth saying of a run, before and after."""

import sys
from typing import Any

import keras
import numpy as np

from cb.callbacks.checkpointing import estimate_bytes
from cb.config import Config
from cb.experiment import Data
from cb.layers.masked import masked_kernels
from cb.runs.directory import RunDirectory
from cb.sparsity import distributions
from cb.variables import read


def summarize(
    config: Config,
    model: keras.Model,
    scores: dict[str, float],
    run: RunDirectory,
) -> dict[str, Any]:
    """Return what is worth knowing of a finished run."""
    kernels = masked_kernels(model)
    shapes = {kernel.key: tuple(kernel.weight.shape) for kernel in kernels}
    asked = distributions.connection_counts(
        shapes, config.sparsity, config.distribution
    )
    layers = []
    for kernel in kernels:
        mask = read(kernel.mask) != 0
        layers.append(
            {
                "layer": kernel.name,
                "shape": list(shapes[kernel.key]),
                "weights": mask.size,
                "density_asked": asked[kernel.key] / mask.size,
                "active": int(np.count_nonzero(mask)),
            }
        )
    masked = sum(layer["weights"] for layer in layers)
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    active = sum(layer["active"] for layer in layers)
    return {
        "epochs": config.epochs,
        "layers": layers,
        "masked_weights": masked,
        "active_weights": active,
        "parameters_dense": trainable,
        "parameters": trainable - masked + active,
        "test": scores,
        "run_dir": str(run.path),
    }


def print_start(
    config: Config,
    data: Data,
    model: keras.Model,
    run: RunDirectory,
) -> None:
    """Say what is about to happen."""
    held = data.source
    print(
        f"{model.name} on {held.name}: {data.batches.size} training, "
        f"{len(held.train) - data.batches.size} validation, "
        f"{len(held.test)} test examples"
    )
    print(f"Run folder: {run.path}")
    if config.checkpoint_every:
        number = config.epochs // config.checkpoint_every
        megabytes = number * estimate_bytes(model) / 1e6
        print(
            f"Numbered checkpoints: {number}, about {megabytes:.1f} MB of disk"
        )
    sys.stdout.flush()


def print_summary(summary: dict[str, Any]) -> None:
    """Print the closing summary."""
    row = "{:<24} {:>18} {:>10} {:>8} {:>8}"
    print()
    print(row.format("layer", "shape", "weights", "asked", "kept"))
    for layer in summary["layers"]:
        print(
            row.format(
                layer["layer"],
                "x".join(str(side) for side in layer["shape"]),
                f"{layer['weights']:,}",
                f"{layer['density_asked']:.4f}",
                f"{layer['active'] / layer['weights']:.4f}",
            )
        )
    density = summary["active_weights"] / summary["masked_weights"]
    print(
        f"density {density:.4f}, parameters {summary['parameters']:,} of "
        f"{summary['parameters_dense']:,}"
    )
    scores = "  ".join(
        f"{name} {value:.4f}" for name, value in summary["test"].items()
    )
    path = summary["run_dir"]
    print(f"test  {scores}")
    print(f"trained {summary['epochs']} epochs, {summary['seconds']} s")
    print(f"numbers      {path}/metrics.csv")
    print(f"checkpoints  {path}/checkpoints")
    print(f"SavedModel   {path}/export")
    print(f"TensorBoard  tensorboard --logdir {path}/tensorboard")
