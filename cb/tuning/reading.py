"""Sweeps as their folders tell them."""

import dataclasses
import json
import pathlib

import numpy as np

from cb.errors import InputError
from cb.tuning import pareto
from cb.tuning.objectives import Objective
from cb.tuning.results import Point
from cb.tuning.results import Results
from cb.tuning.results import Row
from cb.tuning.results import aggregate


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What is known of a sweep.

    Args:
        label: String, what it is called in figures.
        objectives: Tuple of `Objective`, by their columns.
        parameters: Tuple of names, of what was searched.
        rows: List of rows, in the order of time.
        points: List of `Point`, one for each complete trial.
        about: Dict of flag to value, what all runs have in common.
    """

    label: str
    objectives: tuple[Objective, ...]
    parameters: tuple[str, ...]
    rows: list[Row]
    points: list[Point]
    about: dict

    @property
    def columns(self) -> list[str]:
        """The names of the columns of the objectives."""
        return [objective.name for objective in self.objectives]

    def minimized(self) -> np.ndarray:
        """Return `(points, objectives)`, all so that less is better."""
        return np.array(
            [
                [
                    objective.minimized(point.means[objective.name])
                    for objective in self.objectives
                ]
                for point in self.points
            ]
        ).reshape(len(self.points), len(self.objectives))

    def layers(self) -> np.ndarray:
        """Return the number of the layer of each point, 0 of the front."""
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
    file = folder / "sweep.json"
    if not file.is_file() or not (folder / "results.csv").is_file():
        raise InputError(
            "A sweep must have a folder with `sweep.json` and `results.csv`. "
            f"Received: {str(folder)!r}"
        )
    about = json.loads(file.read_text("utf-8"))
    columns = about["columns"]
    objectives = tuple(
        Objective(columns[one["name"]], one["direction"])
        for one in about["objectives"]
    )
    parameters = tuple(one["name"] for one in about["space"])
    rows = Results(folder / "results.csv").read()
    names = [objective.name for objective in objectives]
    measured = [*dict.fromkeys([*columns.values()])]
    points = [
        point
        # Equal values tried twice are two trials.
        for point in aggregate(rows, measured, [*parameters, "trial"])
        if set(names) <= set(point.means)
    ]
    return Sweep(
        folder.resolve().name, objectives, parameters, rows, points, about
    )
