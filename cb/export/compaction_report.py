"""Report of what compaction removed and where it stopped."""

from typing import NamedTuple

from cb.text import Table
from cb.text import Tabular


class Row(NamedTuple):
    """One layer.

    Attributes:
        name: String.
        kind: String, class of the layer.
        before: Integer, channels that came out of it.
        after: Integer, channels that come out of it now.
        constant: Integer, how many of these are constant and had to stay.
        reason: String, why all that goes in and out of the layer stays, or
            all that comes out; empty if it need not.
    """

    name: str
    kind: str
    before: int
    after: int
    constant: int
    reason: str


class CompactionReport(Tabular):
    """A table of `Row`, which prints as text and is one of HTML in notebooks.

    Args:
        rows: List of `Row`, in the order of the calls.
        before: Integer, parameters of the model with its zeros written out.
        after: Integer, parameters of the smaller model.
    """

    def __init__(self, rows: list[Row], before: int, after: int):
        self.rows = rows
        self.before = before
        self.after = after

    @property
    def stops(self) -> list[Row]:
        """The rows of layers where compaction had to stop."""
        return [row for row in self.rows if row.reason]

    @property
    def removed(self) -> int:
        """The number of channels removed, with and without weights."""
        return sum(row.before - row.after for row in self.rows)

    def _table(self) -> Table:
        lines = [("layer", "class", "channels", "left", "")]
        lines += [_cells(row) for row in self.rows]
        lines.append(
            ("parameters", "", f"{self.before:,}", f"{self.after:,}", "")
        )
        return Table(lines, numbers=(2, 3))


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    note = f"stopped: {row.reason}" if row.reason else ""
    if row.constant and not row.reason:
        note = f"{row.constant} constant, needed as they are"
    return (row.name, row.kind, f"{row.before:,}", f"{row.after:,}", note)
