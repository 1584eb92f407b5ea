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
        parameters: Tuple of the names of the parameters searched.
        rows: List of rows in order of time.
        points: List of `AveragedConfiguration`, one for each complete trial.
        about: Dict of the entries of `sweep.json` that a report shows.
    """

    label: str
    objectives: tuple[Objective, ...]
    parameters: tuple[str, ...]
    rows: list[Row]
    points: list[AveragedConfiguration]
    about: dict

    @property
    def columns(self) -> list[str]:
        """The names of the columns of the objectives."""
        return [objective.name for objective in self.objectives]

    def minimized(self) -> np.ndarray:
        """Return an array `(points, objectives)` where smaller is better."""
        means = [[p.means[name] for name in self.columns] for p in self.points]
        signs = [objective.minimized(1.0) for objective in self.objectives]
        return np.array(means).reshape(-1, len(signs)) * signs

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
    names = tuple(space.names)
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
    return Sweep(space.name, objectives, names, rows, points, about)


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
