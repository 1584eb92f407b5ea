"""Run folders as training writes them, without training."""

import numpy as np

from cb import datasets
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import read_all
from cb.config import Config
from cb.runs.checkpoint import Checkpoint
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from cb.training import assembly

BROKEN = 6
FNN = "fnn(blocks=(3,), width=12)"


def make_run(path, epochs, model=FNN):
    """Write a run as training does; from epoch 6 block 2 gives only zeros."""
    directory = RunDirectory(str(path))
    config = Config(
        model=model,
        sparsity=0.0,
        reallocation="static",
        validation_fraction=0.0,
        augmentation="flip",
        strategy="none",
    )
    directory.write_config(config, {})
    network = assembly.build_model(config, datasets.load("digits", None))
    variables = model_variables(network)
    folder = CheckpointFolder(directory.checkpoints)
    for epoch in range(epochs + 1):
        if epoch == BROKEN:
            for layer in network.layers:
                if layer.name.startswith("block_2"):
                    for variable in layer.trainable_variables:
                        variable.assign(np.zeros(variable.shape))
        arrays = read_all(variables)
        meta = {"step": 28 * epoch, "epoch": epoch, "batch": 0}
        checkpoint = Checkpoint(arrays, meta)
        folder.save(epoch or "initial", checkpoint)
        for name in ("last", "best"):
            folder.save(name, checkpoint)
    return directory
