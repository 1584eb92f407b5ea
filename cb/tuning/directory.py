"""The folder of a sweep: one sweep in it, and one process that searches."""

import contextlib
import fcntl
import json
import os
import pathlib
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from cb.errors import InputError
from cb.errors import Locked
from cb.files import replacing
from cb.files.folders import make_folder
from cb.tuning.reading import read_about

# The file of its identity.
SWEEP = "sweep.json"


def claim(folder: pathlib.Path, identity: Mapping[str, Any]) -> None:
    """Record the identity of the sweep in a folder, or compare with it.

    Args:
        folder: Path; it is made if needed.
        identity: Dict that JSON can hold.

    Raises:
        InputError: If the folder holds another sweep or other files, or
            cannot be written.
    """
    file = folder / SWEEP
    make_folder(folder)
    with _flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY)):
        if not file.exists():
            if any(folder.iterdir()):
                raise InputError(
                    "Argument `directory` must be new, empty or the folder of "
                    f"a sweep. Received: directory={str(folder)!r}, which "
                    "holds other files"
                )
            with replacing(file) as opened:
                opened.write((json.dumps(identity, indent=2) + "\n").encode())
        before = read_about(folder)
    if found := [*differences(identity, before)]:
        raise InputError(
            "Argument `directory` holds another sweep. Received: "
            f"directory={str(folder)!r}, where {'; '.join(found)}"
        )


def differences(now: Any, before: Any, path: str = "") -> Iterator[str]:
    """Yield where two values of JSON differ, as text.

    Lists of dicts are compared by their `"name"`.

    Args:
        now: The value now.
        before: The value before.
        path: String, where they are.
    """
    if isinstance(now, list) and isinstance(before, list):
        named, others = _by_name(now), _by_name(before)
        if named.keys() == others.keys() and [*named] != [*others]:
            now, before = [*named], [*others]
        elif named and others:
            now, before = named, others
    if isinstance(now, Mapping) and isinstance(before, Mapping):
        for key in {**before, **now}:
            inner = f"{path}.{key}" if path else str(key)
            yield from differences(now.get(key), before.get(key), inner)
    elif now != before:
        yield f"{path}: {now!r} is not {before!r}"[:200]


def _by_name(items: list) -> dict[str, Any]:
    if all(isinstance(item, Mapping) and "name" in item for item in items):
        return {item["name"]: item for item in items}
    return {}


@contextlib.contextmanager
def locked(folder: pathlib.Path, worker: str = "") -> Iterator[None]:
    """Lock a sweep; a process that exits releases it in any case.

    Args:
        folder: Path of the folder of a sweep.
        worker: String, which worker of a chief this process is, if one.

    Raises:
        Locked: If another process is the same worker, or searches.
    """
    name = f".{worker.replace(os.sep, '_')}.lock" if worker else ".lock"
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666)
    with _flock(descriptor, fcntl.LOCK_NB, str(folder)):
        yield


@contextlib.contextmanager
def _flock(
    descriptor: int, how: int = 0, directory: str = ""
) -> Iterator[None]:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield
    except BlockingIOError:
        raise Locked(
            "Another process is running this sweep. Several share one as a "
            "chief and its workers, each with a name of its own "
            f"(docs/sweeps.md). Received: directory={directory!r}"
        ) from None
    finally:
        os.close(descriptor)
