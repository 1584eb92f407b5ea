"""Checkpoints: files of named arrays, verified by their CRC."""

import json
import os
import pathlib
import zlib
from typing import Any
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from cb.errors import InputError
from cb.files import replacing

META = "meta"
# Errors of NumPy, its archives and JSON on a file that is not intact.
DAMAGED = (EOFError, KeyError, OSError, ValueError, BadZipFile, zlib.error)


class Checkpoint(NamedTuple):
    """The content of a checkpoint.

    Attributes:
        arrays: Dict of name to array.
        meta: Dict that JSON can represent: step, epoch and so on.
    """

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]


class CorruptCheckpoint(Exception):
    """A file is truncated, corrupted or not a checkpoint."""


def save(file: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file appears complete or not at all.

    Args:
        file: Path, in a folder that exists.
        checkpoint: `Checkpoint`.
    """
    text = json.dumps(checkpoint.meta).encode("utf-8")
    meta = np.frombuffer(text, np.uint8)
    arrays: dict[str, Any] = {META: meta, **checkpoint.arrays}
    with replacing(file) as opened:
        np.savez(opened, **arrays)


def load(file: pathlib.Path) -> Checkpoint:
    """Read a checkpoint.

    Args:
        file: Path.

    Returns:
        `Checkpoint`.

    Raises:
        CorruptCheckpoint: If the file is not intact.
        FileNotFoundError: If there is no such file.
    """
    try:
        # Opened here, as NumPy does not close a file that is no archive.
        with open(file, "rb") as raw, np.load(raw) as opened:
            arrays = {name: opened[name] for name in opened.files}
        meta = json.loads(arrays.pop(META).tobytes().decode("utf-8"))
    except FileNotFoundError:
        raise
    except DAMAGED as error:
        raise CorruptCheckpoint(f"{file}: {error}") from error
    return Checkpoint(arrays, meta)


class CheckpointFolder:
    """The checkpoints of a run: `initial`, `last`, `best` and numbered.

    Args:
        path: Path of the folder, made at the first save.
        writes: Boolean, whether this process writes the checkpoints.
    """

    def __init__(self, path: pathlib.Path, writes: bool = True):
        self.path = path
        self.writes = writes

    def file(self, name: str | int) -> pathlib.Path:
        """Return the path of `last`, `best`, `initial` or an epoch."""
        if isinstance(name, int) or name.isdigit():
            name = f"epoch_{int(name):05d}"
        return self.path / f"{name}.npz"

    def names(self) -> list[str]:
        """List the checkpoints, those of epochs as their numbers."""
        names = [file.stem for file in sorted(self.path.glob("[!.]*.npz"))]
        return [name.removeprefix("epoch_").lstrip("0") for name in names]

    def save(self, name: str | int, checkpoint: Checkpoint) -> None:
        """Write a checkpoint; the one before `last` becomes `previous`."""
        if not self.writes:
            return
        # Not its parents: a run folder that was removed is not made again.
        self.path.mkdir(exist_ok=True)
        file = self.file(name)
        if name != "last" or not file.exists():
            save(file, checkpoint)
            return
        # No file is moved before the new one is complete on disk.
        complete = self.path / ".next.npz"
        save(complete, checkpoint)
        os.replace(file, self.file("previous"))
        os.replace(complete, file)

    def load(self, name: str | int) -> Checkpoint:
        """Read a checkpoint by name.

        Raises:
            InputError: If it does not exist or is not intact.
        """
        self.require(name)
        try:
            return load(self.file(name))
        except CorruptCheckpoint as error:
            reason = f"A checkpoint must be intact. Received: {error}"
            raise InputError(reason) from error

    def require(self, name: str | int) -> None:
        """Raise `InputError` if there is no checkpoint of this name."""
        if not self.file(name).exists():
            raise InputError(
                f"Checkpoint {str(name)!r} does not exist. Expected one of "
                f"{self.names()} in {str(self.path)!r}."
            )

    def latest(self) -> tuple[Checkpoint | None, list[str]]:
        """Find the latest intact checkpoint to resume from.

        Returns:
            Tuple of the checkpoint, `None` if there is none, and a list of
            messages about corrupted ones.
        """
        numbered = sorted(self.path.glob("epoch_*.npz"), reverse=True)
        messages: list[str] = []
        for file in [self.file("last"), self.file("previous"), *numbered]:
            try:
                return load(file), messages
            except FileNotFoundError:
                continue
            except CorruptCheckpoint as error:
                messages.append(f"Checkpoint is not intact: {error}")
        return None, messages
