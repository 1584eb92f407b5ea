"""Folders that files are written to."""

import os
import pathlib

from cb.errors import argument_error


def make_folder(folder: pathlib.Path, argument: str = "directory") -> None:
    """Create a folder if needed.

    Args:
        folder: Path.
        argument: String, the argument that named it.

    Raises:
        InputError: If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise argument_error(
            argument, "a folder that can be written", str(folder)
        )
