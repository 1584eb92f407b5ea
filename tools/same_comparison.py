"""Comparison of two folders that the same commands have filled.

Files are read by NumPy and the standard library alone, so that no change of
the project changes the comparison.
"""

import csv
import fnmatch
import io
import json
import pathlib
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

# Times, sizes of files that contain names and a process fingerprint, and the
# digest of the code.
LEFT_OUT_KEYS = {"export_bytes", "seconds", "source", "step_seconds"}
# TensorBoard files and logs contain times. A SavedModel names its parts by
# counters of the process and is compared by its recorded outputs.
LEFT_OUT = ("*.log", "tensorboard/*", "*/tensorboard/*")
SAVED_MODEL = "saved_model.pb"
OUTPUTS = ".outputs.npz"
# Pages for people; their content is in the other files too.
TEXTS = (".html", ".md", ".txt")
# In a checkpoint, JSON as bytes.
META = "meta"
LONGEST = 160


class Found(NamedTuple):
    """Differences between two folders or files.

    Attributes:
        differences: List of strings, of results.
        notes: List of strings, differences that do not count: printed texts,
            and entries that only one side can have.
    """

    differences: list[str]
    notes: list[str]


def compare(
    base: pathlib.Path, head: pathlib.Path, left_out: Sequence[str] = ()
) -> Found:
    """Compare the files of two folders, each by its format.

    Args:
        base: Folder.
        head: Folder.
        left_out: Patterns of relative paths that are not compared.

    Returns:
        `Found`.
    """
    found = Found([], [])
    old, new = (set(files(folder, left_out)) for folder in (base, head))
    for name in sorted(old | new):
        if name not in new:
            found.differences.append(f"{name}: only in BASE")
        elif name not in old:
            found.notes.append(f"{name}: only in HEAD")
        else:
            one = compare_files(base / name, head / name)
            found.differences.extend(f"{name}: {x}" for x in one.differences)
            found.notes.extend(f"{name}: {x}" for x in one.notes)
    return found


def files(folder: pathlib.Path, left_out: Sequence[str] = ()) -> Iterator[str]:
    """List the relative paths of the files that are compared."""
    patterns = (*LEFT_OUT, *left_out)
    exports = {file.parent for file in folder.rglob(SAVED_MODEL)}
    for file in folder.rglob("*"):
        name = file.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        # The program beside the graph is JSON and is compared.
        inside = exports.intersection(file.parents) and file.suffix != ".json"
        if not file.is_file() or hidden or inside:
            continue
        if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            yield name


def compare_files(base: pathlib.Path, head: pathlib.Path) -> Found:
    """Compare two files of the same name.

    Args:
        base: File.
        head: File.

    Returns:
        `Found`, of at most one difference for tables and texts.
    """
    old, new = base.read_bytes(), head.read_bytes()
    if old == new:
        return Found([], [])
    if base.suffix == ".npz":
        return _compare_arrays(_arrays(base), _arrays(head))
    if base.suffix == ".json":
        return compare_json(json.loads(old), json.loads(new))
    if base.suffix == ".csv":
        return Found(list(_compare_tables(old.decode(), new.decode())), [])
    if base.suffix in TEXTS:
        return Found([], list(first_line(old.decode(), new.decode())))
    return Found([f"{len(old)} and {len(new)} bytes that differ"], [])


def compare_json(base: Any, head: Any) -> Found:
    """Compare the contents of two JSON files.

    Args:
        base: Parsed value.
        head: Parsed value.

    Returns:
        `Found`: of values that both have, differences; of keys that one of
        them has, notes.
    """
    found = Found([], [])
    old, new = (dict(_leaves(value, "")) for value in (base, head))
    for side, extra in (("BASE", old.keys() - new), ("HEAD", new.keys() - old)):
        if extra:
            found.notes.append(f"only in {side}: {sorted(extra)}")
    for key in old:
        if key in new and old[key] != new[key]:
            found.differences.append(f"{key}: {_pair(old[key], new[key])}")
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """List the leaves of a value as text, with their paths."""
    if isinstance(value, dict):
        parts: Iterable[tuple[Any, Any]] = value.items()
        # Another type of value here is a difference, not a missing key.
        yield path, "{}"
    elif isinstance(value, list):
        parts = enumerate(value)
        yield path, f"list of {len(value)}"
    else:
        # As text, in which 1 and 1.0 differ and NaN equals itself.
        yield path, json.dumps(value)
        return
    for key, part in parts:
        if key not in LEFT_OUT_KEYS:
            yield from _leaves(part, f"{path}.{key}".lstrip("."))


def _arrays(file: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(file) as opened:
        return {name: opened[name] for name in opened.files}


def _compare_arrays(
    base: dict[str, np.ndarray], head: dict[str, np.ndarray]
) -> Found:
    found = Found([], [])
    for name in sorted(base.keys() | head):
        if name not in base or name not in head:
            side = "BASE" if name in base else "HEAD"
            found.differences.append(f"{name}: only in {side}")
        elif name == META:
            old, new = (json.loads(x[name].tobytes()) for x in (base, head))
            one = compare_json(old, new)
            found.differences.extend(f"{name} {x}" for x in one.differences)
            found.notes.extend(f"{name} {x}" for x in one.notes)
        elif difference := compare_array(base[name], head[name]):
            found.differences.append(f"{name}: {difference}")
    return found


def compare_array(base: np.ndarray, head: np.ndarray) -> str:
    """Describe how two arrays differ in type, shape or bits, if they do."""
    old, new = (f"{x.dtype}{list(x.shape)}" for x in (base, head))
    if old != new:
        return f"{old} and {new}"
    if base.tobytes() == head.tobytes():
        return ""
    size = base.itemsize
    bits = [
        np.frombuffer(x.tobytes(), np.uint8).reshape(-1, size)
        for x in (base, head)
    ]
    places = np.flatnonzero((bits[0] != bits[1]).any(axis=1))
    first = places[0]
    values = _pair(base.reshape(-1)[first], head.reshape(-1)[first])
    where = [int(i) for i in np.unravel_index(first, base.shape)]
    return f"{len(places)} of {base.size} values, first at {where}: {values}"


def _compare_tables(base: str, head: str) -> Iterator[str]:
    old, new = (_without_times(text) for text in (base, head))
    return first_line(old, new)


def _without_times(text: str) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    kept = [
        number
        for number, name in enumerate(rows[0] if rows else [])
        if name not in LEFT_OUT_KEYS
    ]
    if not rows or len(kept) == len(rows[0]):
        return text
    rows = [[row[n] for n in kept if n < len(row)] for row in rows]
    return "\n".join(",".join(row) for row in rows)


def first_line(base: str, head: str) -> Iterator[str]:
    """Yield the first line in which two texts differ, if there is one."""
    old, new = base.split("\n"), head.split("\n")
    for number in range(max(len(old), len(new))):
        one, other = (
            lines[number] if number < len(lines) else "(no line)"
            for lines in (old, new)
        )
        if one != other:
            yield f"line {number + 1}: {_pair(one, other)}"
            return


def _pair(base: Any, head: Any) -> str:
    return " / ".join(_shortened(str(value)) for value in (base, head))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."
