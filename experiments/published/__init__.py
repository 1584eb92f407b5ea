"""Published tables: which runs they are made of and what they were to give."""

import csv
import dataclasses
import importlib
import math
import statistics
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from cb.errors import RunError
from cb.runs.directory import RunDirectory
from experiments.catalogue import Experiment
from experiments.catalogue import experiments

NAMES = (
    "dynamic_sparse",
    "sparse_learning",
    "rigl",
    "set_keras",
    "large_batch",
    "lottery_ticket",
    "bundles",
    "trade_off",
)
ACCURACY = "accuracy"
ERROR = "error, %"
SEEDS = (0, 1, 2)
ENOUGH = len(SEEDS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """A published number, and how far from it ours may be.

    Args:
        mean: Float.
        deviation: Float, standard deviation of single runs, or `None`.
        error: Float, standard error of the mean, or `None`.
        within: Float, the largest difference where neither is known, or
            `None`: then nothing says which differences matter.
        single: Boolean, whether it is the number of a single run, to which
            the spread of ours applies.
        judged: Boolean, whether a difference says anything: not where nobody
            published the hyperparameters.
    """

    mean: float
    deviation: float | None = None
    error: float | None = None
    within: float | None = None
    single: bool = False
    judged: bool = True

    def agrees(self, ours: Sequence[float], diverged: int = 0) -> bool | None:
        """Return whether results agree with it.

        The mean must lie within two standard deviations, theirs and ours in
        quadrature; where only a standard error is known, within two of the
        difference and a tenth of a point; of a single run, within two of our
        standard deviations. No seed may diverge.

        Args:
            ours: Sequence of floats, one for each seed.
            diverged: Integer, how many seeds besides diverged.

        Returns:
            Boolean, or `None` where that cannot be said (yet).
        """
        criteria = (self.within, self.deviation, self.error)
        if len(ours) + diverged < ENOUGH or not self.judged:
            return None
        if not self.single and all(one is None for one in criteria):
            return None
        if diverged:
            return False
        spread = statistics.stdev(ours)
        if self.within is not None:
            most = self.within
        elif self.deviation is not None:
            most = 2 * math.hypot(self.deviation, spread)
        elif self.error is not None:
            most = 2 * math.hypot(self.error, spread / len(ours) ** 0.5) + 0.1
        else:
            most = 2 * spread
        return abs(statistics.mean(ours) - self.mean) <= most


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """An experiment and its place in a table.

    Args:
        experiment: String, `source/what`.
        row: String, the row of the table.
        column: String, the column.
        published: Dict of what is measured to `Published`. Defaults to the
            accuracy of the experiment.
        after: String, the experiment whose run of the same seed must be
            there before, or `None`.
    """

    experiment: str
    row: str
    column: str
    published: Mapping[str, Published] | None = None
    after: str | None = None


def last_accuracy(run: RunDirectory) -> dict[str, float]:
    """Return the accuracy of a finished run on the test set, in percent.

    Raises:
        RunError: If it has none.
    """
    test = (run.read_summary() or {}).get("test") or {}
    if ACCURACY not in test:
        raise RunError(
            f"Run {str(run.path)!r} must have ended with an accuracy on the "
            f"test set. Received: {test or 'no scores'}"
        )
    return {ACCURACY: 100 * test[ACCURACY]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A published table.

    Args:
        name: String, for the command.
        title: String.
        source: String, where it was published.
        protocol: String, how its runs are trained.
        goal: String, which differences count.
        axis: String, what the columns are.
        cells: Sequence of `Cell`, in the order of the table.
        measure: Function of the `RunDirectory` of a finished run that returns
            a dict of what is measured to its value.
        against: String, the one of these that accuracies are drawn over, seed
            by seed; empty to draw them over columns.
        findings: String, what was found where numbers differ; empty if
            nothing was.
    """

    name: str
    title: str
    source: str
    protocol: str
    goal: str
    axis: str
    cells: Sequence[Cell]
    measure: Callable[[RunDirectory], Mapping[str, float]] = last_accuracy
    against: str = ""
    findings: str = ""


def tables() -> dict[str, Table]:
    """Return all tables by name."""
    found = [
        importlib.import_module(f"experiments.published.{name}").TABLE
        for name in NAMES
    ]
    return {table.name: table for table in found}


def by_name() -> dict[str, Experiment]:
    """Return all experiments by name."""
    return {experiment.name: experiment for experiment in experiments()}


def of_experiment(experiment: Experiment) -> Published | None:
    """Return the published accuracy of an experiment, if there is one."""
    if experiment.expected is None:
        return None
    return Published(
        mean=experiment.expected,
        deviation=experiment.deviation,
        error=experiment.error,
    )


def expected(cell: Cell, experiment: Experiment) -> Mapping[str, Published]:
    """Return what was published of a cell, by what is measured."""
    if cell.published is not None:
        return cell.published
    number = of_experiment(experiment)
    return {} if number is None else {ACCURACY: number}


def per_epoch(run: RunDirectory) -> dict[int, float]:
    """Return accuracies of a run on the test set by epoch, in percent.

    Args:
        run: `RunDirectory` of a run with `evaluate_test`.

    Raises:
        RunError: If it has none.
    """
    with open(run.metrics_file, newline="", encoding="utf-8") as opened:
        found = {
            int(row["epoch"]): 100 * float(row["value"])
            for row in csv.DictReader(opened)
            if row["name"] == "test/accuracy"
        }
    if not found:
        raise RunError(
            f"Run {str(run.path)!r} must have accuracies on the test set by "
            "epoch, from --evaluate_test. Received: none"
        )
    return found


def accuracies_after(
    run: RunDirectory, epochs: Sequence[int]
) -> dict[str, float]:
    """Return accuracies of a run after some of its epochs, in percent.

    Args:
        run: `RunDirectory` of a run with `evaluate_test`.
        epochs: Sequence of integers.

    Raises:
        RunError: If there is no test accuracy of one of them.
    """
    values = per_epoch(run)
    missing = [epoch for epoch in epochs if epoch not in values]
    if missing:
        raise RunError(
            f"Run {str(run.path)!r} must have a test accuracy of each of the "
            f"epochs {list(epochs)}. Received: none of {missing}"
        )
    return {f"accuracy after {epoch} epochs": values[epoch] for epoch in epochs}
