"""How CSV files are written, and their cells as numbers."""

import codecs
import math
from collections.abc import Sequence
from typing import Literal
from typing import NamedTuple

import numpy as np
import pyarrow
from pyarrow import compute

from cb.datasets.classes import BOOLEANS
from cb.datasets.classes import MISSING
from cb.datasets.classes import NUMBER
from cb.datasets.tables import EXACT
from cb.datasets.tables import ExactIntegers
from cb.errors import InputError
from cb.errors import argument_error

Header = Literal["infer", 0, None]


class CsvFormat(NamedTuple):
    """How a CSV file is written; names and meanings are those of pandas.

    Attributes:
        sep: String, one character between cells.
        encoding: String.
        decimal: String, the decimal point.
        header: `0`, the first row names the columns; `None`, there is no such
            row and their names are `"0"`, `"1"` and so on; or `"infer"`, as
            `0`, but a first row that looks like data is refused.
        skipinitialspace: Boolean, whether spaces after separators are dropped.
        keep_default_na: Boolean, whether words such as `NA` stand for an
            empty cell.
    """

    sep: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    header: Header = "infer"
    skipinitialspace: bool = False
    keep_default_na: bool = True

    @property
    def missing(self) -> frozenset[str]:
        """Texts that stand for an empty cell, besides the empty one."""
        return MISSING if self.keep_default_na else frozenset()

    def text(self, written: str, ends: bool = True) -> str:
        """Return the text of a cell, without spaces around it if `ends`."""
        text = written.strip() if ends else written
        if self.skipinitialspace:
            text = text.lstrip()
            if len(text) > 1 and text[0] == text[-1] == '"':
                # Quotes after a space are not the first character.
                text = text[1:-1].replace('""', '"')
        return text

    def check(self) -> None:
        """Raise `InputError` if a value is wrong."""
        for name in ("sep", "decimal"):
            value = getattr(self, name)
            if len(value) != 1 or not value.isascii() or value in '"\r\n':
                raise argument_error(name, "one character of ASCII", value)
        if self.sep == self.decimal:
            expected = f"another character than sep={self.sep!r}"
            raise argument_error("decimal", expected, self.decimal)
        try:
            codecs.lookup(self.encoding)
        except LookupError as error:
            expected = "an encoding that Python knows, such as 'latin-1'"
            raise argument_error("encoding", expected, self.encoding) from error


class Numbers:
    """Converts the cells of a column to numbers, batch by batch.

    Attributes:
        name: String.
        wrong: Tuple of a row and its text, the first cell that is no number;
            or `None`.
    """

    def __init__(self, file: str, name: str, style: CsvFormat):
        self.name = name
        self.wrong: tuple[int, str] | None = None
        self._decimal = style.decimal
        self._exact = ExactIntegers(f"file {file!r}", name)
        self._empty = pyarrow.array(["", *style.missing], pyarrow.string())
        self._kinds: set[type] = set()

    def convert(self, cells, first_row: int) -> np.ndarray:
        """Return float64 numbers, NaN where a cell is empty.

        Args:
            cells: Arrow array of strings.
            first_row: Integer, the row of the first cell.
        """
        cells = compute.utf8_trim_whitespace(cells)
        empty = compute.is_in(cells, value_set=self._empty)
        cells = compute.if_else(empty, None, cells)
        plain = cells
        if self._decimal != ".":
            # A point is no digit there.
            plain = compute.replace_substring(cells, ".", "?")
            plain = compute.replace_substring(plain, self._decimal, ".")
        try:
            found = compute.cast(plain, pyarrow.float64())
        except pyarrow.ArrowInvalid:
            values = self._one_by_one(cells, plain, first_row)
        else:
            values = found.to_numpy(zero_copy_only=False)
            if found.null_count < len(found):
                self._kinds.add(float)
        for row in np.flatnonzero(np.abs(values) >= EXACT):
            text = plain[int(row)].as_py()
            if text.lstrip("+-").isdecimal():
                self._exact.add(place(first_row + int(row)), int(text))
        return values

    def _one_by_one(self, cells, plain, first_row: int) -> np.ndarray:
        """Convert cells of which one at least is no number for Arrow."""
        values = np.full(len(cells), math.nan)
        for row, text in enumerate(plain.to_pylist()):
            if text is None:
                continue
            kind = bool if text.lower() in BOOLEANS else float
            self._kinds.add(kind)
            number = kind is float and NUMBER.fullmatch(text)
            if len(self._kinds) > 1 or not (number or kind is bool):
                self.wrong = (first_row + row, cells[row].as_py())
                break
            values[row] = float(text) if number else BOOLEANS[text.lower()]
        return values


def refuse_text(file: str, columns: Sequence[Numbers]) -> None:
    """Raise `InputError` if a column holds text; all such are named."""
    wrong = [(column.wrong, column.name) for column in columns if column.wrong]
    if not wrong:
        return
    (row, text), first = wrong[0]
    hint = ""
    if "," in text and NUMBER.fullmatch(text.replace(",", ".")):
        hint = ", `decimal=','` reads decimal commas"
    raise InputError(
        f"File {file!r} must hold finite numbers. Received: {text!r} in "
        f"{place(row)}, column {first!r}. Columns with text: "
        f"{[name for _, name in wrong]}; `columns` chooses others{hint}"
    )


def place(row: int) -> str:
    """Return the name of a row, counted from 1 after the header."""
    return f"row {row + 1}"
