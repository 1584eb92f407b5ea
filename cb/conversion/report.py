"""Report of a conversion: every kernel's density, or why it is dense."""

from typing import NamedTuple

from cb.text import Table
from cb.text import Tabular


class Row(NamedTuple):
    """One kernel of a masked layer, or one layer that stays dense.

    Attributes:
        name: String.
        kind: String, class of the layer.
        weights: Integer, size of the kernel or of all weights of the layer.
        active: Integer, number of active weights.
        reason: String, why it stays dense; empty for a masked kernel.
        key: String, key of the `MaskedKernel`; empty for what stays dense.
    """

    name: str
    kind: str
    weights: int
    active: int
    reason: str = ""
    key: str = ""


class Report(Tabular):
    """A table of `Row`, which prints as text and is one of HTML in notebooks.

    Args:
        rows: List of `Row`.
    """

    def __init__(self, rows: list[Row]):
        self.rows = rows

    @property
    def masked(self) -> list[Row]:
        """The rows of masked kernels."""
        return [row for row in self.rows if not row.reason]

    def _table(self) -> Table:
        masked = self.masked
        total = Row(
            "total masked",
            "",
            sum(row.weights for row in masked),
            sum(row.active for row in masked),
        )
        lines = [
            ("layer", "class", "weights", "active", "sparsity"),
            *(_cells(row) for row in [*self.rows, total]),
        ]
        return Table(lines, numbers=(2, 3))


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    sparsity = 1.0 - row.active / row.weights if row.weights else 0.0
    last = f"dense: {row.reason}" if row.reason else f"{sparsity:.4f}"
    return (row.name, row.kind, f"{row.weights:,}", f"{row.active:,}", last)
