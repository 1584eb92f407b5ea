"""Comparison of the forms in which a model was written."""

from collections.abc import Mapping
from collections.abc import Sequence

from cb.export.measurement import GAIN
from cb.export.measurement import Measured
from cb.text import Table
from cb.text import Tabular
from cb.text import paragraph

# What a user has without sparsity: speed is compared with it.
USUAL = "lite"


class Comparison(Tabular):
    """A table of `Measured`, which prints as text and is one of HTML.

    Speed is compared with LiteRT in float32, which a user has without
    sparsity; or with the first form if that is not there.

    Args:
        form: String, the form that was written.
        rows: List of `Measured`, the dense form first; empty if nothing was
            measured.
        left_out: Dict of a form that did not take part to why.
    """

    def __init__(
        self,
        form: str,
        rows: Sequence[Measured],
        left_out: Mapping[str, str],
    ):
        self.form = form
        self.rows = rows
        self.left_out = left_out

    def _table(self) -> Table:
        if not self.rows:
            return Table([("form",), (self.form,)], ())
        usual = next((x for x in self.rows if x.label == USUAL), self.rows[0])
        sizes = [f"ms for {size}" for size in usual.latencies]
        lines = [("form", "bytes", *sizes, "gain", "accuracy")]
        runtimes: dict[str, list[str]] = {}
        for row in self.rows:
            lines.append(_cells(row, usual))
            runtimes.setdefault(row.runtime, []).append(row.label)
        threads = next(iter(usual.latencies.values())).threads
        notes = [
            f"gain: times as fast as {usual.label}, the geometric mean; "
            f"threads: {threads}",
            *(f"{name}: {'; '.join(of)}" for name, of in runtimes.items()),
            *(f"Not as {name}: {why}" for name, why in self.left_out.items()),
            self._conclusion(usual),
        ]
        return Table(
            lines, tuple(range(1, len(lines[0]))), [*map(paragraph, notes)]
        )

    def _conclusion(self, usual: Measured) -> str:
        best = max(self.rows, key=lambda row: row.gain(usual))
        if best.gain(usual) < GAIN:
            return f"No gain: nothing is faster than {usual.label}."
        return f"Fastest: {best.label}, {best.gain(usual):.2f} times."


def _cells(row: Measured, usual: Measured) -> tuple[str, ...]:
    times = [f"{one.median * 1e3:.3f}" for one in row.latencies.values()]
    accuracy = "" if row.accuracy is None else f"{row.accuracy:.4f}"
    gain = f"{row.gain(usual):.2f}"
    return (row.label, f"{row.size:,}", *times, gain, accuracy)
