"""Features and labels of tables, as numbers that float32 can tell apart."""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Literal

import numpy as np

from cb.datasets.classes import Classes
from cb.datasets.classes import Column
from cb.datasets.classes import classes_of
from cb.datasets.dataset_splits import Examples
from cb.errors import InputError

Missing = Literal["refuse", "drop"]
# Columns further from zero than this many times their spread lose bits when
# they are rounded before they are standardized,
OFFSET = 4
# which counts once rounding merges this part of their distinct values.
MERGED = 0.1
# Columns of smaller numbers lose bits as well: float32 has no smaller ones.
SMALLEST = float(np.finfo(np.float32).tiny / np.finfo(np.float32).eps)


@dataclasses.dataclass
class Table:
    """Columns of the same length.

    Attributes:
        where: String, the file or data set, for messages.
        label: `Column` of labels.
        names: Names of the columns of features.
        features: float64 array `(rows, features)`, or float32 where that
            holds all values; NaN where a cell is empty.
        place: Function from a row to its name in messages.
    """

    where: str
    label: Column
    names: Sequence[str]
    features: np.ndarray
    place: Callable[[int], str]


def examples(
    table: Table,
    classes: Classes | None = None,
    missing: Missing = "refuse",
    dtype: np.dtype | None = None,
) -> tuple[Examples, Classes]:
    """Return features and labels of a table.

    Args:
        table: `Table`.
        classes: `Classes`; by default those of the table.
        missing: `"refuse"` rows with an empty cell, or `"drop"` them.
        dtype: Type of the features; by default float32, or float64 where
            float32 would merge values that standardizing keeps apart.

    Returns:
        Tuple of `Examples` and `Classes`.

    Raises:
        InputError: If a cell is empty or no finite number, or a label is no
            class.
    """
    table = _complete(table, missing)
    if classes is None:
        classes = classes_of(table.label)
    labels = classes.encode(table.label)
    _require_finite(table)
    if dtype is None:
        offset = [
            name
            for place, name in enumerate(table.names)
            if table.features.dtype != np.float32
            and _merges(table.features[:, place])
        ]
        dtype = np.dtype(np.float64 if offset else np.float32)
        if offset:
            print(
                f"Standardized before rounding to float32: {', '.join(offset)}"
            )
    return Examples(table.features.astype(dtype, copy=False), labels), classes


def of_arrays(
    where: str, label: str, labels: np.ndarray, columns: dict[str, np.ndarray]
) -> Table:
    """Return arrays in memory as a table.

    Args:
        where: String, for messages.
        label: String, the name of the labels.
        labels: Array `(rows,)` of any type.
        columns: Dict of name to array `(rows, ...)` of numbers, whose numbers
            are columns of their own.

    Returns:
        A `Table`.

    Raises:
        InputError: If integers are too large for float64 to tell apart.
    """
    names: list[str] = []
    parts = []
    kinds = [column.dtype for column in columns.values()]
    dtype = np.result_type(np.float32, *kinds)
    for name, column in columns.items():
        flat = column.reshape(len(column), -1)
        part = flat.astype(dtype, copy=False)
        names += [name] if column.ndim == 1 else _numbered(name, flat.shape[1])
        if flat.dtype.kind in "iu" and flat.dtype.itemsize == 8:
            for number in range(flat.shape[1]):
                exact = ExactIntegers(where, names[number - flat.shape[1]])
                for row in np.flatnonzero(abs(part[:, number]) >= EXACT):
                    exact.add(f"example {row}", int(flat[row, number]))
        parts.append(part)

    def place(row: int) -> str:
        return f"example {row}"

    found = Column.of(where, label, labels, place)
    return Table(where, found, names, np.concatenate(parts, axis=1), place)


def of_images(where: str, label: str, labels: np.ndarray) -> Table:
    """Return labels of images as a table of the positions of the images.

    Args:
        where: As in `of_arrays`.
        label: As in `of_arrays`.
        labels: As in `of_arrays`.
    """
    positions = np.arange(len(labels), dtype=np.float64)
    return of_arrays(where, label, labels, {"position": positions})


def with_images(
    table: Table,
    images: Any,
    classes: Classes | None = None,
    missing: Missing = "refuse",
    like: Examples | None = None,
) -> tuple[Examples, Classes]:
    """Return features and labels of a table, whose features may be images.

    Args:
        table: `Table`; that of `of_images`, if there are images.
        images: Array, or images on disk; or `None`.
        classes: As in `examples`.
        missing: As in `examples`.
        like: `Examples` that are trained on, whose type others take.

    Returns:
        As `examples`.

    Raises:
        InputError: As `examples`.
    """
    if images is None:
        dtype = None if like is None else like.features.dtype
        return examples(table, classes, missing, dtype)
    found, classes = examples(table, classes, missing, np.dtype(np.float64))
    kept = found.features[:, 0].astype(np.int64)
    if len(kept) < len(images):
        images = images[kept]
    return Examples(images, found.labels), classes


def names(table: Table, images: Any) -> tuple[str, ...] | None:
    """Return the names of the features, which images do not have."""
    return tuple(table.names) if images is None else None


def _numbered(name: str, width: int) -> list[str]:
    return [f"{name}[{number}]" for number in range(width)]


# Integers from here on are not all float64 numbers.
EXACT = 2.0**53


class ExactIntegers:
    """Refuses integers of a column that float64 cannot tell apart."""

    def __init__(self, where: str, name: str):
        self._where, self._name = where, name
        self._seen: dict[float, int] = {}

    def add(self, row: str, value: int) -> None:
        """Compare the value of a row, which is named, with those before."""
        other = self._seen.setdefault(float(value), value)
        if other != value:
            raise InputError(
                f"Features of {self._where} must be numbers that float64 can "
                f"tell apart. Received: {other} and {value} in {row}, column "
                f"{self._name!r}. Leave the column out, or count from a nearer "
                "number"
            )


def _complete(table: Table, missing: Missing) -> Table:
    """Return the table without rows that have an empty cell, or refuse them."""
    empty = np.isnan(table.features)
    wrong = table.label.missing | empty.any(axis=1)
    if not wrong.any():
        return table
    if missing == "refuse":
        row = int(np.argmax(wrong))
        name = table.label.name
        if not table.label.missing[row]:
            name = table.names[int(empty[row].argmax())]
        raise InputError(
            f"Every cell of {table.where} must have a value. Received: nothing "
            f"in {table.place(row)}, column {name!r}, and "
            f"{np.count_nonzero(wrong):,} such rows in all. `missing='drop'` "
            "leaves them out"
        )
    kept = np.flatnonzero(~wrong)
    print(
        f"Rows left out of {table.where}, with an empty cell: "
        f"{np.count_nonzero(wrong):,} of {len(wrong):,}"
    )

    return dataclasses.replace(
        table,
        label=table.label.take(kept),
        features=table.features[kept],
        place=lambda row: table.place(int(kept[row])),
    )


def _require_finite(table: Table) -> None:
    with np.errstate(over="ignore"):
        for place, name in enumerate(table.names):
            wrong = ~np.isfinite(table.features[:, place].astype(np.float32))
            if wrong.any():
                row = int(np.argmax(wrong))
                raise InputError(
                    f"Features of {table.where} must be finite numbers. "
                    f"Received: '{table.features[row, place]}' in "
                    f"{table.place(row)}, column {name!r}"
                )


def _merges(column: np.ndarray) -> bool:
    """Tell whether rounding to float32 merges much that need not merge."""
    low, high = column.min(), column.max()
    largest = max(abs(low), abs(high))
    if SMALLEST < largest < OFFSET * (high - low) / 2:
        return False
    distinct = np.unique(column)
    rounded = np.unique(distinct.astype(np.float32))
    return len(rounded) < (1 - MERGED) * len(distinct)
