"""Results of sweeps: one CSV with a row for each run, and their means."""

import csv
import fcntl
import io
import os
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from cb.errors import InputError
from cb.tuning.run_request import COMPLETE

# As in the published tables.
MEASURED = ("Error", "Inference", "Training")
IDENTITY = ("config_id", "seed", "fold")
ABOUT = (
    "trial",
    "dataset",
    "experiment",
    "status",
    "seconds",
    "note",
    "command",
)
# Of trials that are halved: the rung, and the epochs up to it and of the whole
# training.
RUNG = "rung"
RUNGS = (RUNG, "epochs_trained", "epochs_planned")
TEXTS = {*IDENTITY, *ABOUT} - {"seed", "seconds"}

Row = dict[str, Any]


class Results:
    """A CSV file of runs to which rows are only ever appended.

    Several processes may append to it. A row whose identity is already there
    is not appended again. A run that is halved has a row for each rung.

    Args:
        file: Path.
        columns: Names of the columns; of an existing file, its own.
        texts: Names of the hyperparameters whose values are text, even if they
            look like numbers.

    Raises:
        InputError: If the file has other columns.
    """

    def __init__(
        self,
        file: pathlib.Path,
        columns: Sequence[str] = (),
        texts: Iterable[str] = (),
    ):
        self.file = file
        self._texts = TEXTS | {*texts}
        self.columns = list(columns)
        if file.is_file() and file.stat().st_size:
            with open(file, newline="", encoding="utf-8") as opened:
                found = next(csv.reader(opened))
            if columns and found != self.columns:
                raise InputError(
                    f"Results {str(file)!r} have other columns. "
                    f"Expected {self.columns}. Received: {found}"
                )
            self.columns = found

    def append(self, rows: Iterable[Row]) -> None:
        """Append rows; they are on disk when this returns.

        Args:
            rows: Iterable of dicts of column to value; missing values
                are left empty.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with open(self.file, "a+b") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            opened.seek(0)
            content = opened.read().decode("utf-8")
            known = _whole_lines(content)
            if len(known) < len(content):
                opened.truncate(len(known.encode("utf-8")))
            text = io.StringIO()
            writer = csv.DictWriter(
                text, self.columns, restval="", lineterminator="\n"
            )
            if not known:
                writer.writeheader()
            there = {*map(identity, csv.DictReader(io.StringIO(known)))}
            for row in rows:
                if identity(row) not in there:
                    writer.writerow({k: _text(v) for k, v in row.items()})
            opened.write(text.getvalue().encode("utf-8"))
            opened.flush()
            os.fsync(opened.fileno())

    def read(self) -> list[Row]:
        """Return the last row of each run, in order of time.

        Numbers are converted, and empty cells left out.
        """
        last: dict[tuple[str, ...], Row] = {}
        for row in self.history():
            run = identity({**row, RUNG: ""})
            last.pop(run, None)
            last[run] = row
        return [*last.values()]

    def history(self) -> list[Row]:
        """Return all rows, of every rung, as `read` does."""
        if not self.file.is_file():
            return []
        with open(self.file, newline="", encoding="utf-8") as opened:
            text = _whole_lines(opened.read())
        return [
            {
                key: cell if key in self._texts else _number(cell)
                for key, cell in row.items()
                if cell != ""
            }
            for row in csv.DictReader(io.StringIO(text))
        ]


def identity(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values that identify a run, and a rung of it."""
    names = ("experiment", "dataset", "trial", "seed", "fold", RUNG)
    return tuple(_text(row.get(name, "")) for name in names)


def _whole_lines(text: str) -> str:
    return text[: text.rfind("\n") + 1]


def _text(value: Any) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)


def _number(cell: str) -> int | float | str:
    """Return a cell as a number if it is one, else as text."""
    for convert in (int, float):
        try:
            return convert(cell)
        except ValueError:
            continue
    return cell


class AveragedConfiguration(NamedTuple):
    """A configuration averaged over its runs.

    Attributes:
        config_id: String.
        values: Dict of active hyperparameter to value.
        means: Dict of measured column to its mean.
        spreads: Dict of measured column to its standard deviation.
        runs: Tuple of its rows.
    """

    config_id: str
    values: dict[str, Any]
    means: dict[str, float]
    spreads: dict[str, float]
    runs: tuple[Row, ...]


def aggregate(
    rows: Iterable[Row], measured: Sequence[str], parameters: Sequence[str]
) -> list[AveragedConfiguration]:
    """Average over the folds and seeds of each configuration.

    Configurations with a failed, infeasible or outraced run are left out.

    Args:
        rows: Iterable of rows, of one sweep or several.
        measured: Sequence of the columns to average.
        parameters: Sequence of the columns that make a configuration.

    Returns:
        List of `AveragedConfiguration`, in order of their first runs.

    Raises:
        InputError: If configurations have run on different folds, since a
            lucky fold would win.
    """
    complete = complete_groups(rows, parameters)
    _check_folds(complete)
    points = []
    for group in complete:
        columns = {
            name: [float(row[name]) for row in group]
            for name in measured
            if all(name in row for row in group)
        }
        points.append(
            AveragedConfiguration(
                group[0]["config_id"],
                {
                    name: group[0][name]
                    for name in parameters
                    if name in group[0]
                },
                {name: float(np.mean(v)) for name, v in columns.items()},
                {name: float(np.std(v)) for name, v in columns.items()},
                tuple(group),
            )
        )
    return points


def complete_groups(
    rows: Iterable[Row], columns: Sequence[str]
) -> list[list[Row]]:
    """Group rows that are equal in some columns; leave out incomplete groups.

    Args:
        rows: Iterable of rows.
        columns: Sequence of the columns.

    Returns:
        List of the groups all of whose runs are complete, in order of their
        first runs.
    """
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        key = tuple(row.get(name) for name in columns)
        groups.setdefault(key, []).append(row)
    return [
        group
        for group in groups.values()
        if all(row["status"] == COMPLETE for row in group)
    ]


def _check_folds(groups: list[list[Row]]) -> None:
    found: dict[tuple, str] = {}
    for group in groups:
        for seed in {row["seed"] for row in group}:
            folds = sorted(
                row.get("fold", "") for row in group if row["seed"] == seed
            )
            found.setdefault(tuple(folds), group[0]["config_id"])
    if len(found) > 1:
        (some, one), (others, other) = list(found.items())[:2]
        raise InputError(
            "Configurations must have been run on the same folds to be "
            f"compared. Received: {one} on {list(some)}, {other} on "
            f"{list(others)}"
        )
