"""Sweeps read from their folders."""

import contextlib
import csv
import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from cb.errors import InputError
from cb.errors import one_line
from cb.tuning import pareto
from cb.tuning.objectives import Objective
from cb.tuning.results import ABOUT
from cb.tuning.results import IDENTITY
from cb.tuning.results import AveragedConfiguration
from cb.tuning.results import Results
from cb.tuning.results import Row
from cb.tuning.results import aggregate
from cb.tuning.space import Parameter
from cb.tuning.space import Space

# Entries of `sweep.json` that a report shows.
NEEDED = (
    "columns",
    "experiment",
    "folds",
    "objectives",
    "oracle",
    "seeds",
    "space",
)
_MALFORMED = (
    AttributeError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    csv.Error,
)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep read from its folder.

    Args:
        label: String, its name in figures.
        objectives: Tuple of `Objective`, by their columns.
        space: `Space` of the parameters searched.
        rows: List of rows in order of time.
        points: List of `AveragedConfiguration`, one for each complete trial.
        about: Dict of the entries of `sweep.json` that a report shows.
    """

    label: str
    objectives: tuple[Objective, ...]
    space: Space
    rows: list[Row]
    points: list[AveragedConfiguration]
    about: dict

    @property
    def columns(self) -> list[str]:
        """The names of the columns of the objectives."""
        return [objective.name for objective in self.objectives]

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters searched."""
        return self.space.names

    def values(self, column: str) -> np.ndarray:
        """Return an array `(points,)` of a column's means."""
        return np.array([point.means[column] for point in self.points])

    def item(self, trial: str) -> str:
        """Return the name of a trial among those of all sweeps of a page."""
        return f"{self.label} {trial}"

    def items(self, chosen=slice(None)) -> list[str]:
        """Return the items of the points, or of some of them."""
        names = [self.item(point.runs[0]["trial"]) for point in self.points]
        return [*np.array(names, object)[chosen]]

    def minimized(self) -> np.ndarray:
        """Return an array `(points, objectives)` where smaller is better."""
        signs = [objective.minimized(1.0) for objective in self.objectives]
        return np.stack([*map(self.values, self.columns)], axis=1) * signs

    def layers(self) -> np.ndarray:
        """Return the Pareto layer of each point, 0 for the front."""
        return pareto.layers(self.minimized())


def read_sweep(folder: pathlib.Path) -> Sweep:
    """Read a sweep, finished or not.

    Args:
        folder: Path.

    Returns:
        `Sweep`.

    Raises:
        InputError: If the folder holds no sweep with results.
    """
    file, table = folder / "sweep.json", folder / "results.csv"
    if not file.is_file() or not table.is_file():
        raise InputError(
            "A sweep must have a folder with `sweep.json` and `results.csv`. "
            f"Received: {str(folder)!r}"
        )
    about = read_about(folder)
    with _reading(file):
        about = {name: about[name] for name in NEEDED}
        columns = about["columns"]
        objectives = tuple(
            Objective(columns[one["name"]], one["direction"])
            for one in about["objectives"]
        )
        parameters = tuple(Parameter(**one) for one in about["space"])
        measured = [*dict.fromkeys(columns.values())]
        space = Space(folder.resolve().name, {}, parameters)
    names = space.names
    with _reading(table):
        results = Results(table, texts=space.texts)
        missing = {*measured, *names, *IDENTITY, *ABOUT} - {*results.columns}
        if missing:
            raise ValueError(f"it lacks {sorted(missing)}")
        rows = results.read()
        # The same values tried twice are two trials.
        points = aggregate(rows, measured, [*names, "trial"])
    wanted = {objective.name for objective in objectives}
    points = [point for point in points if wanted <= set(point.means)]
    return Sweep(space.name, objectives, space, rows, points, about)


def read_about(folder: pathlib.Path) -> dict[str, Any]:
    """Read the description of the sweep in a folder.

    Args:
        folder: Path.

    Returns:
        Dict, the content of `sweep.json`.

    Raises:
        InputError: If it cannot be read.
    """
    file = folder / "sweep.json"
    with _reading(file):
        return dict(json.loads(file.read_text("utf-8")))


@contextlib.contextmanager
def _reading(file: pathlib.Path) -> Iterator[None]:
    """Turn errors about a malformed file into one line."""
    try:
        yield
    except InputError:
        raise
    except _MALFORMED as error:
        reason = one_line(error)
        raise InputError(
            f"A sweep's `{file.name}` must be as the sweep wrote it. "
            f"Received: {str(file)!r} ({type(error).__name__}: {reason})"
        ) from error
