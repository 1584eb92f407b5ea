"""Our results of published tables, collected over seeds."""

import pathlib
import statistics
from collections import defaultdict
from typing import NamedTuple

from experiments import results
from experiments.published import ACCURACY
from experiments.published import ERROR
from experiments.published import Table
from experiments.published import by_name
from experiments.published import expected

NOT_RUN = "not run"


class Ours(NamedTuple):
    """The results of a number, of all seeds that have ended.

    Attributes:
        name: String, what was measured.
        values: List of floats, of the seeds that did not diverge.
        diverged: Integer, how many did.
    """

    name: str
    values: list[float]
    diverged: int

    def __str__(self):
        parts = []
        if self.values:
            mean = statistics.mean(self.values)
            text = shown(mean, self.name)
            if len(self.values) > 1:
                # Large numbers are given to whole ones.
                digits = min(max(4 - len(f"{abs(mean):.0f}"), 0), 2)
                spread = statistics.stdev(self.values)
                text = f"{mean:.{digits}f} ± {spread:.{digits}f}"
            parts.append(f"{text} ({len(self.values)})")
        if self.diverged:
            parts.append(f"{self.diverged} diverged")
        return ", ".join(parts) or NOT_RUN

    def by_seed(self) -> str:
        """Return the values one by one, for seeds that come out differently."""
        percent = self.name.startswith((ACCURACY, ERROR))
        parts = [
            shown(value, self.name) if percent else f"{value:.4g}"
            for value in self.values
        ]
        if self.diverged:
            parts.append(f"{self.diverged} diverged")
        return ", ".join(parts) or NOT_RUN


def counted(
    table: Table, folder: pathlib.Path = results.FOLDER
) -> list[results.Result]:
    """Return the results of a table that are of its present protocol.

    A run that begins with another one counts together with it.

    Args:
        table: `Table`.
        folder: Path of the results.
    """
    known = by_name()
    protocols = {
        cell.experiment: results.protocol(known[cell.experiment].flags)
        for cell in table.cells
    }
    found = [
        one
        for one in results.read(table.name, folder)
        if one.flags == protocols.get(one.experiment)
    ]
    there = {(one.experiment, one.seed) for one in found}
    before = {cell.experiment: cell.after for cell in table.cells}

    def counts(name: str | None, seed: int) -> bool:
        return name is None or (
            (name, seed) in there and counts(before[name], seed)
        )

    return [one for one in found if counts(one.experiment, one.seed)]


def of_table(
    table: Table, folder: pathlib.Path = results.FOLDER
) -> dict[str, dict[str, Ours]]:
    """Return the results of a table by experiment and number.

    Args:
        table: `Table`.
        folder: Path of the results.
    """
    values: dict[str, dict[str, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    diverged: dict[str, int] = defaultdict(int)
    for result in counted(table, folder):
        if result.value is None:
            diverged[result.experiment] += 1
        else:
            values[result.experiment][result.name].append(result.value)
    found: dict[str, dict[str, Ours]] = {}
    for cell in table.cells:
        name = cell.experiment
        if name in values or name in diverged:
            wanted = expected(cell, by_name()[name])
            # What diverged has none of the numbers that are looked for.
            found[name] = {
                number: Ours(number, values[name][number], diverged[name])
                for number in {**wanted, **values[name]} or (ACCURACY,)
            }
    return found


def shown(value: float, name: str = ACCURACY) -> str:
    """Return a number as text, percentages with two digits."""
    percent = name.startswith((ACCURACY, ERROR))
    return f"{value:.2f}" if percent else f"{value:.6g}"
