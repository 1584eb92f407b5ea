"""Reading of CSV files: as text first, since types change late."""

import csv
import glob
import io
import os
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow
from pyarrow import compute
from pyarrow import csv as arrow

from cb.datasets.classes import NUMBER
from cb.datasets.classes import Column
from cb.datasets.csv_cells import CsvFormat
from cb.datasets.csv_cells import Numbers
from cb.datasets.csv_cells import place
from cb.datasets.csv_cells import refuse_text
from cb.datasets.tables import Table
from cb.errors import InputError
from cb.errors import argument_error
from cb.errors import one_line

# Larger than any row, and small beside what a training needs.
BLOCK = 1 << 24
SEPARATORS = ";\t|,"
UNREADABLE = (pyarrow.ArrowInvalid, OSError, UnicodeError, csv.Error)


PLAIN = CsvFormat()


def read_csv(
    path: str,
    label: str,
    columns: Sequence[str] | None = None,
    style: CsvFormat = PLAIN,
    like: Sequence[str] | None = None,
) -> Table:
    """Read one or several CSV files, compressed or not.

    Args:
        path: String, a file, or a pattern such as `"part_*.csv"` of several
            with the same columns, which follow one another by name.
        label: String, the column of labels.
        columns: Names of the columns of features; all others by default.
        style: `CsvFormat`.
        like: Names of the features of a table that this one must match.

    Returns:
        A `Table`.

    Raises:
        InputError: If there is no such file, it is no table, a column is not
            there or holds text.
    """
    style.check()
    files = _files(path)
    names = list(columns or like or ())
    parts = []
    for file in files:
        header = _header(file, style)
        others = _features(file, [*header], label, columns, style)
        _require_same(file, names or others, others)
        names = names or others
        parts.append(_read(file, header, label, names, style))
    starts = np.cumsum([0, *[len(part.codes) for part in parts]])

    def located(row: int) -> str:
        number = int(np.searchsorted(starts, row, side="right")) - 1
        where = f" of {files[number]!r}" if len(files) > 1 else ""
        return place(row - starts[number]) + where

    texts = {text: None for part in parts for text in part.texts}
    codes = {text: code for code, text in enumerate(texts)}
    merged = [
        np.array([codes[text] for text in part.texts], np.int32)[part.codes]
        for part in parts
    ]
    where = f"file {path!r}"
    labels = Column(
        where,
        label,
        list(texts),
        np.concatenate(merged),
        located,
        style.missing,
    )
    if style.header == "infer" and label in labels.present():
        raise _looks_like_data(files[0], label)
    matrix = np.concatenate([part.features for part in parts])
    return Table(where, labels, names, matrix, located)


def column_names(path: str, style: CsvFormat = PLAIN) -> list[str]:
    """Return the names of the columns of a file, or of the first of several.

    Raises:
        InputError: As in `read_csv`.
    """
    return [*_header(_files(path)[0], style)]


def _files(path: str) -> list[str]:
    """Return the files that a path or a pattern names, sorted."""
    path = os.path.expanduser(path)
    found = [path] if os.path.isfile(path) else sorted(glob.glob(path))
    files = [file for file in found if os.path.isfile(file)]
    if not files:
        raise argument_error("path", "a file, or a pattern of files", path)
    return files


def _header(file: str, style: CsvFormat) -> dict[str, str]:
    """Return the names of the columns, and how the file writes them."""
    with _opened(file, style) as reader:
        written = reader.schema.names
    if style.header is None:
        return {str(place): name for place, name in enumerate(written)}
    names = [style.text(name) for name in written]
    if style.header == "infer" and all(map(NUMBER.fullmatch, names)):
        raise _looks_like_data(file, names[0])
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Column {name!r} is in {file!r} twice.")
    return dict(zip(names, written, strict=True))


def _looks_like_data(file: str, name: str) -> InputError:
    return InputError(
        f"The first row of {file!r} must name the columns. Received: a row "
        f"with {name!r}, which looks like data. `header=None` reads it as data "
        "and names the columns '0', '1' and so on, `header=0` as names"
    )


def _features(file, header, label, columns, style) -> list[str]:
    """Return the names of the features of a file, all checked."""
    for name in (label, *(columns or ())):
        if name not in header:
            raise InputError(
                f"File {file!r} has no column {name!r}. Expected one of "
                f"{header}.{_other_style(header, name, style)}"
            )
    if columns is not None:
        names = list(columns)
        if label in names:
            expected = f"features without the label {label!r}"
            raise argument_error("columns", expected, columns)
        if len({*names}) < len(names):
            raise argument_error("columns", "different names", columns)
    else:
        names = [name for name in header if name != label]
        if "" in names:
            raise InputError(
                f"Column {header.index('') + 1} of {file!r} must have a name. "
                "Received: '', perhaps numbers of rows. Choose the features "
                "with `columns`"
            )
    if not names:
        raise InputError(f"File {file!r} has no column of features.")
    return names


def _other_style(header, name, style) -> str:
    if any(map(NUMBER.fullmatch, header)) and style.header is not None:
        return " `header=None` reads a file without a row of names"
    joined = style.sep.join(header)
    for sep in SEPARATORS:
        cells = [cell.strip(' "') for cell in joined.split(sep)]
        if sep != style.sep and name in cells:
            return f" The cells may be separated by `sep={sep!r}`"
    return ""


def _require_same(file: str, names: list[str], others: list[str]) -> None:
    if {*names} != {*others}:
        different = sorted({*names} ^ {*others})
        raise InputError(
            f"File {file!r} must have the columns of the first file, {names}. "
            f"Received: {others}, which differ in {different}. `columns` "
            "chooses features that all files have"
        )


def _opened(file: str, style: CsvFormat, columns: Iterable[str] = ()):
    """Open a file as a reader of batches; `columns` stay text."""
    try:
        return arrow.open_csv(
            file,
            arrow.ReadOptions(
                block_size=BLOCK,
                encoding=style.encoding,
                autogenerate_column_names=style.header is None,
            ),
            arrow.ParseOptions(delimiter=style.sep, newlines_in_values=True),
            arrow.ConvertOptions(
                column_types=dict.fromkeys(columns, pyarrow.string()),
                strings_can_be_null=False,
            ),
        )
    except UNREADABLE as error:
        raise _no_table(file, style, error) from error


class _Part(NamedTuple):
    """The cells of one file: features, and labels as codes of texts."""

    features: np.ndarray
    codes: np.ndarray
    texts: list[str]


def _read(file, header, label, names, style) -> _Part:
    others = [header[name] for name in header if name not in names]
    columns = [Numbers(file, name, style) for name in names]
    texts: dict[str, int] = {}
    features = [np.empty((0, len(names)))]
    codes = [np.empty(0, np.int32)]
    rows, broken = 0, False
    with _opened(file, style, header.values()) as reader:
        try:
            for batch in reader:
                cells = [
                    column.convert(batch[header[column.name]], rows)
                    for column in columns
                ]
                refuse_text(file, columns)
                features.append(np.stack(cells, axis=1))
                encoded = batch[header[label]].dictionary_encode()
                found = [
                    texts.setdefault(style.text(text, ends=False), len(texts))
                    for text in encoded.dictionary.to_pylist()
                ]
                indices = encoded.indices.to_numpy()
                codes.append(np.array(found, np.int32)[indices])
                rows += len(indices)
                broken = broken or any(
                    compute.any(
                        compute.match_substring(batch[name], "\n")
                    ).as_py()
                    for name in others
                )
        except UNREADABLE as error:
            raise _no_table(file, style, error) from error
    if broken:
        _require_closed_quotes(file, style, rows)
    if not rows:
        raise InputError(f"File {file!r} has no example, only a header.")
    return _Part(np.concatenate(features), np.concatenate(codes), [*texts])


def _rows(file: str, style: CsvFormat) -> Iterator[list[str]]:
    """Read the rows with the standard library, which is slow and strict."""
    with (
        pyarrow.input_stream(file, compression="detect") as raw,
        io.TextIOWrapper(raw, style.encoding, newline="") as text,
    ):
        yield from csv.reader(
            text,
            delimiter=style.sep,
            skipinitialspace=style.skipinitialspace,
            strict=True,
        )


def _require_closed_quotes(file: str, style: CsvFormat, rows: int) -> None:
    """Refuse a quote that is not closed, which would swallow other rows."""
    try:
        found = sum(1 for row in _rows(file, style) if row)
    except UNREADABLE as error:
        raise _no_table(file, style, error) from error
    if found != rows + (style.header is not None):
        reason = "quotes enclose parts of several rows"
        raise InputError(f"File {file!r} is no CSV table: {reason}")


def _no_table(file: str, style: CsvFormat, error: Exception) -> InputError:
    """Return the error for a file that Arrow cannot read: where it is."""
    reason = one_line(error)
    number = cells = 0
    try:
        for row in _rows(file, style):
            cells = cells or len(row)
            if row and len(row) != cells:
                reason = f"{cells} cells expected, and {len(row)} in "
                reason += place(number - (style.header is not None))
                break
            number += bool(row)
    except csv.Error as found:
        reason = f"{found} after {number} rows"
    except UnicodeError:
        reason = (
            f"it is not encoded in {style.encoding!r}. `encoding` names "
            "another, such as 'latin-1' or 'utf-16'"
        )
    except OSError:
        pass
    return InputError(f"File {file!r} is no CSV table: {reason}")
