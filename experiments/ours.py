"""Our results of published tables, collected over seeds."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

from experiments import results
from experiments.catalogue import Experiment
from experiments.published import ACCURACY
from experiments.published import ERROR

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


def of_protocol(
    found: Iterable[results.Result], known: Mapping[str, Experiment]
) -> list[results.Result]:
    """Leave out results of another protocol than an experiment has now."""
    protocols = {
        name: results.protocol(experiment.flags)
        for name, experiment in known.items()
    }
    return [one for one in found if one.flags == protocols.get(one.experiment)]


def collected(
    found: Iterable[results.Result], known: Mapping[str, Experiment]
) -> dict[str, dict[str, Ours]]:
    """Return results by experiment and number.

    Args:
        found: `Result`s.
        known: Dict of name to `Experiment`.
    """
    values: dict[str, dict[str, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    diverged: dict[str, int] = defaultdict(int)
    for result in of_protocol(found, known):
        if result.value is None:
            diverged[result.experiment] += 1
        else:
            values[result.experiment][result.name].append(result.value)
    return {
        name: {
            number: Ours(number, values[name][number], diverged[name])
            for number in values[name] or (ACCURACY,)
        }
        for name in {**values, **diverged}
    }


def shown(value: float, name: str = ACCURACY) -> str:
    """Return a number as text, percentages with two digits."""
    percent = name.startswith((ACCURACY, ERROR))
    return f"{value:.2f}" if percent else f"{value:.6g}"
