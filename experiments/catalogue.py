"""The published experiments, with the text of flagfiles and catalogue."""

import dataclasses
import importlib
from collections.abc import Mapping

SOURCES = (
    "dynamic_sparse",
    "big_batch",
    "wirings",
    "autosparse",
    "bundles",
    "sparse_learning",
    "rigl",
    "lottery_ticket",
    "set_keras",
)
RUNS, GPU = "runs here", "needs a GPU"
STATUSES = (RUNS, GPU)
UNKNOWN = "not published as a number"
# Of small networks, whose steps are mostly Python: the same numbers sooner.
SMALL = {"steps_per_execution": 20}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A published run.

    Args:
        name: String, `source/what`.
        title: String, one line.
        paper: String, authors, year and address.
        table: String, where the run is in the paper or its code.
        flags: Flags of `train.py` and their values.
        expected: Float, published test accuracy in percent, or `None`.
        deviation: Float, published standard deviation of single runs, in
            points, or `None`.
        error: Float, published standard error of the mean, in points, or
            `None`.
        time: String, how long it takes on what, and how that is known.
        status: One of `STATUSES`.
        note: String, what a reader must know besides.
    """

    name: str
    title: str
    paper: str
    table: str
    flags: Mapping[str, object]
    expected: float | None = None
    deviation: float | None = None
    error: float | None = None
    time: str
    status: str
    note: str = ""

    @property
    def path(self) -> str:
        """Path of the flagfile."""
        return f"experiments/{self.name}.flags"

    def text(self) -> str:
        """Return the flagfile."""
        number = UNKNOWN
        if self.expected is not None:
            number = f"test accuracy {self.expected} %"
        if self.deviation is not None:
            number += f", standard deviation {self.deviation}"
        if self.error is not None:
            number += f", standard error {self.error}"
        lines = [
            self.title,
            "",
            f"Paper: {self.paper}",
            f"Table: {self.table}",
            f"Command: make experiment NAME={self.name}",
            f"Expected: {number}",
            f"Time: {self.time}",
            f"Status: {self.status}",
        ]
        if self.note:
            lines.append(f"Note: {self.note}")
        comments = [f"# {line}".rstrip() for line in lines]
        flags = {**self.flags, "run_dir": f"runs/{self.name}"}
        assigned = [f"--{key}={value}" for key, value in flags.items()]
        return "\n".join([*comments, *assigned]) + "\n"


def experiments() -> list[Experiment]:
    """Return all experiments, in the order of their sources."""
    return [
        experiment
        for source in SOURCES
        for experiment in importlib.import_module(
            f"experiments.tables.{source}"
        ).experiments()
    ]


def header(text: str) -> dict[str, str]:
    """Read the header of a flagfile.

    Args:
        text: String, the whole file.

    Returns:
        Dict of what stands before the first colon of each line to the rest.
    """
    found = {}
    for line in text.splitlines():
        key, separator, value = line.removeprefix("# ").partition(": ")
        if line.startswith("# ") and separator:
            found[key] = value
    return found
