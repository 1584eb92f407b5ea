"""Sizes of files and folders."""

import os
import pathlib


def file_bytes(path: str | os.PathLike) -> int:
    """Return the number of bytes of a file, or of all files in a folder.

    Args:
        path: Path.

    Returns:
        Integer.
    """
    path = pathlib.Path(path)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
