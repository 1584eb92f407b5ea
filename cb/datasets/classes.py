"""Classes: the distinct values of a label, however they are written."""

import dataclasses
import decimal
import re
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Sequence
from typing import Any

import numpy as np

from cb.errors import InputError

# The texts that pandas reads as missing; an empty one always is.
MISSING = frozenset(
    "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA"
    "|NULL|NaN|None|n/a|nan|null".split("|")
)
BOOLEANS = {"true": True, "false": False}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.I)
# Digits of a class written as a number: more are a mistake.
LONGEST = 40


class Column:
    """A column of labels, as they are written.

    Args:
        where: String, its file or data set, for messages.
        name: String.
        texts: Distinct texts.
        codes: Integer array `(rows,)`, the position in `texts` of each row.
        place: Function from a row to its name in messages.
        missing: Texts that stand for no label, besides the empty one.
    """

    def __init__(
        self,
        where: str,
        name: str,
        texts: Sequence[str],
        codes: np.ndarray,
        place: Callable[[int], str],
        missing: Collection[str] = (),
    ):
        self.name = name
        self.title = f"Label {name!r} of {where}"
        self._where, self._place = where, place
        self._missing = missing
        self.texts, self.codes = texts, codes

    @classmethod
    def of(cls, where: str, name: str, values: np.ndarray, place) -> "Column":
        """Return the column of an array `(rows,)` of any type."""
        if values.dtype.kind == "O":
            values = np.array([_decoded(value) for value in values], str)
        distinct, codes = np.unique(values, return_inverse=True)
        texts = [str(_decoded(value)) for value in distinct.tolist()]
        return cls(where, name, texts, codes, place, {"nan"})

    def take(self, rows: np.ndarray) -> "Column":
        """Return the column of the given rows."""
        used, codes = np.unique(self.codes[rows], return_inverse=True)
        return Column(
            self._where,
            self.name,
            [self.texts[code] for code in used],
            codes,
            lambda row: self._place(int(rows[row])),
            self._missing,
        )

    @property
    def missing(self) -> np.ndarray:
        """Boolean array `(rows,)`, where there is no label."""
        empty = [self._is_missing(text.strip()) for text in self.texts]
        return np.array(empty, bool)[self.codes]

    def present(self) -> dict[str, int]:
        """Return the distinct labels, without spaces around, and their codes.

        Raises:
            InputError: If two of them differ by spaces alone.
        """
        found: dict[str, int] = {}
        for code, written in enumerate(self.texts):
            text = written.strip()
            if self._is_missing(text):
                continue
            if text in found and not NUMBER.fullmatch(text):
                raise InputError(
                    f"{self.title} must not have classes that differ by spaces "
                    f"alone. Received: {self.texts[found[text]]!r} and "
                    f"{written!r} in {self.row(code)}. `skipinitialspace=True` "
                    "drops spaces after separators"
                )
            found.setdefault(text, code)
        return found

    def row(self, code: int) -> str:
        """Return the name of the first row with a text."""
        return self._place(int(np.argmax(self.codes == code)))

    def _is_missing(self, text: str) -> bool:
        return not text or text in self._missing


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of a label, sorted.

    Attributes:
        values: Tuple of integers, of booleans or of strings.
    """

    values: tuple

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(str(value) for value in self.values)

    def encode(self, column: Column) -> np.ndarray:
        """Return the class of every row, -1 where the label is missing.

        Args:
            column: `Column`.

        Returns:
            int32 array `(rows,)`.

        Raises:
            InputError: If a label is none of the classes.
        """
        places = {value: place for place, value in enumerate(self.values)}
        found = np.full(len(column.texts), -1, np.int32)
        present = column.present()
        for code, written in enumerate(column.texts):
            text = written.strip()
            if text not in present:
                continue
            place = places.get(self._value(text))
            if place is None:
                raise InputError(
                    f"{column.title} must be one of the classes that are "
                    f"trained on, {_shortened(self.names)}. Received: {text!r} "
                    f"in {column.row(code)}"
                )
            found[code] = place
        return found[column.codes]

    def _value(self, text: str):
        if isinstance(self.values[0], str):
            return text
        if isinstance(self.values[0], bool):
            return BOOLEANS.get(text.lower())
        return _whole(text)


def classes_of(column: Column) -> Classes:
    """Return the classes of a column.

    Labels that are all numbers are classes by their value, `1.0` and `1` the
    same, in the order of numbers; others by their text.

    Args:
        column: `Column`.

    Raises:
        InputError: If a label is a number that is not whole, or there are
            fewer than two classes.
    """
    texts = column.present()
    values: set[Any]
    if texts and all(text.lower() in BOOLEANS for text in texts):
        values = {BOOLEANS[text.lower()] for text in texts}
    elif texts and all(NUMBER.fullmatch(text) for text in texts):
        for text in texts:
            if _whole(text) is None:
                raise InputError(
                    f"{column.title} must be a class. Received: {text} in "
                    f"{column.row(texts[text])}"
                )
        values = {_whole(text) for text in texts}
    else:
        values = {*texts}
    if len(values) < 2:
        only = f"only {values.pop()!r}" if values else "none"
        raise InputError(
            f"{column.title} must have at least two classes. Received: {only}"
        )
    return Classes(tuple(sorted(values)))


def _whole(text: str) -> int | None:
    """Return the integer that a text stands for, exactly, or `None`."""
    if not NUMBER.fullmatch(text):
        return None
    number = decimal.Decimal(text)
    if number.adjusted() > LONGEST or number != number.to_integral_value():
        return None
    return int(number)


def _decoded(value):
    return value.decode("utf-8", "replace") if type(value) is bytes else value


def _shortened(names: Sequence[str]) -> str:
    return str([*names[:10], "..."] if len(names) > 10 else [*names])
