"""Reads checkpoints of other runs, named as `RUN[:CHECKPOINT]`."""

import numpy as np

from cb.errors import InputError
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory


def read_arrays(text: str, default: str = "last") -> dict[str, np.ndarray]:
    """Read the arrays of a checkpoint of a run.

    Args:
        text: String `RUN[:initial|best|last|N]`, a run folder and a
            checkpoint.
        default: String, the checkpoint where none is named.

    Returns:
        Dict of name to array.

    Raises:
        InputError: If there is no such run or checkpoint.
    """
    path, _, name = text.partition(":")
    run = RunDirectory(path)
    if not run.config_file.is_file():
        raise InputError(
            "A run must be named by its folder, with a `config.json`, as in "
            f"'RUN' or 'RUN:best'. Received: {text!r}"
        )
    return CheckpointFolder(run.checkpoints).load(name or default).arrays
