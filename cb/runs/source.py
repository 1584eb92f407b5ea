"""Reads checkpoints of other runs, named as `RUN[:CHECKPOINT]`."""

import numpy as np

from cb.errors import InputError
from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory


def locate(text: str) -> tuple[str, str]:
    """Find a run and the checkpoint that is meant.

    Args:
        text: String `RUN[:initial|best|last|N]`, a run folder and a
            checkpoint. A folder may have colons in its name.

    Returns:
        Tuple of the run folder and the checkpoint, empty where none is named.

    Raises:
        InputError: If there is no such run.
    """
    path, _, name = text.rpartition(":")
    for found in ((text, ""), (path, name)):
        if found[0] and RunDirectory(found[0]).config_file.is_file():
            return found
    raise InputError(
        "A run must be named by its folder, with a `config.json`, as in "
        f"'RUN' or 'RUN:best'. Received: {text!r}"
    )


def require(text: str) -> None:
    """Raise `InputError` if there is no such run or checkpoint."""
    path, name = locate(text)
    CheckpointFolder(RunDirectory(path).checkpoints).require(name or "last")


def read_arrays(text: str, default: str = "last") -> dict[str, np.ndarray]:
    """Read the arrays of a checkpoint of a run.

    Args:
        text: As in `locate`.
        default: String, the checkpoint where none is named.

    Returns:
        Dict of name to array.

    Raises:
        InputError: If there is no such run or checkpoint.
    """
    path, name = locate(text)
    folder = CheckpointFolder(RunDirectory(path).checkpoints)
    return folder.load(name or default).arrays
