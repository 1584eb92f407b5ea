"""Tables of numbers with a column of labels."""

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow
from pyarrow import csv

from cb.datasets.dataset_splits import Examples
from cb.errors import InputError
from cb.errors import argument_error
from cb.errors import one_line


class Table(NamedTuple):
    """Columns of the same length.

    Attributes:
        path: String, the file.
        columns: Dict of name to array, of numbers or of strings.
    """

    path: str
    columns: dict[str, np.ndarray]


def read_csv(path: str) -> Table:
    """Read a CSV file with a header, compressed or not.

    Args:
        path: String.

    Returns:
        A `Table`.

    Raises:
        InputError: If the file is not there, or rows differ in length.
    """
    if not os.path.isfile(path):
        raise argument_error("path", "a file", path)
    options = csv.ConvertOptions(strings_can_be_null=False)
    try:
        content = csv.read_csv(path, convert_options=options)
    except (pyarrow.ArrowInvalid, OSError) as error:
        reason = one_line(error)
        raise InputError(f"File {path!r} is no CSV table: {reason}") from error
    names = content.column_names
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InputError(f"Column {repeated[0]!r} is in {path!r} twice.")
    return Table(
        path,
        {name: content[name].to_numpy(zero_copy_only=False) for name in names},
    )


def examples(
    table: Table, label: str, columns: Sequence[str] | None = None
) -> tuple[Examples, tuple[str, ...]]:
    """Return features and labels of a table.

    Args:
        table: `Table`.
        label: String, the column of labels. Its distinct values, sorted, are
            the classes.
        columns: Names of the columns of features, all others by default.

    Returns:
        Tuple of `Examples` and the names of the classes.

    Raises:
        InputError: If a column is missing, a cell is no finite number or
            the label has values that are not classes.
    """
    if columns is None:
        columns = [name for name in table.columns if name != label]
    for name in (label, *columns):
        if name not in table.columns:
            raise InputError(
                f"File {table.path!r} has no column {name!r}. Expected one of "
                f"{list(table.columns)}."
            )
    if not columns:
        raise InputError(f"File {table.path!r} has no column of features.")
    features = [numbers(table, name) for name in columns]
    labels, names = _classes(table, label)
    return Examples(np.stack(features, axis=1), labels), names


def numbers(table: Table, name: str) -> np.ndarray:
    """Return a column as float32, or say which cell is no finite number."""
    column = table.columns[name]
    if column.dtype.kind in "biuf":
        found = column.astype(np.float32)
    else:
        found = np.array([_number(cell) for cell in column], np.float32)
    wrong = ~np.isfinite(found)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"File {table.path!r} must hold finite numbers. Received: "
            f"{str(column[row])!r} in row {row + 1}, column {name!r}"
        )
    return found


def _classes(table: Table, label: str) -> tuple[np.ndarray, tuple[str, ...]]:
    column = table.columns[label]
    if column.dtype.kind == "f":
        wrong = ~np.isfinite(column) | (column != np.round(column))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"Label {label!r} of {table.path!r} must be a class. Received: "
                f"{column[row]} in row {row + 1}"
            )
        column = column.astype(np.int64)
    if column.dtype.kind == "O":
        column = column.astype(str)
    values, labels = np.unique(column, return_inverse=True)
    return labels.astype(np.int32), tuple(str(value) for value in values)


def _number(cell) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return math.nan
