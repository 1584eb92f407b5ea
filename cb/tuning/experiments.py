"""Experiment types of the paper: their points, folds and objectives."""

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from cb.errors import InputError
from cb.tuning import pareto
from cb.tuning.objectives import INFERENCE
from cb.tuning.objectives import TEST
from cb.tuning.objectives import TRAINING
from cb.tuning.objectives import VALIDATION
from cb.tuning.results import ABOUT
from cb.tuning.results import IDENTITY
from cb.tuning.results import MEASURED
from cb.tuning.results import AveragedConfiguration
from cb.tuning.results import Results
from cb.tuning.results import aggregate
from cb.tuning.space import Space

FOLDS = tuple(f"{number}/5" for number in range(1, 6))
EVALUATED = (0.2, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)
REPRODUCED = sorted({*EVALUATED, 0.1, 0.3, 0.4, 0.6, 0.75, 0.925, 0.975})
MOST_EVALUATED = 20
LAYERS_EVALUATED = 2
ALGORITHM, SPARSITY = "algorithm", "sparsity"
DENSE, SPARSE = "no_prune", ("set", "rigl")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A type of experiment.

    Args:
        oracle: String, the spec of the oracle; `None` where points are
            numbered.
        folds: Tuple of strings, the folds that configurations run on.
        split: String, the examples whose error is the objective: `"val_"`, or
            `"test_"` where nothing is chosen.
        builds_on: Boolean, whether it takes its points from earlier sweeps.
    """

    oracle: str | None
    folds: tuple[str, ...] = ()
    split: str = VALIDATION
    builds_on: bool = False

    @property
    def objectives(self) -> tuple[str, ...]:
        """The objectives of the paper."""
        return (f"{self.split}error", INFERENCE, TRAINING)


SEARCH = "search"
EXPERIMENTS = {
    SEARCH: Experiment("pareto"),
    "optimization": Experiment("pareto", FOLDS),
    "random_search": Experiment("latin_hypercube", FOLDS[:1]),
    "reproduction": Experiment(None, split=TEST),
    "evaluation": Experiment(None, split=TEST, builds_on=True),
    "optimization_evaluation": Experiment(None, split=TEST, builds_on=True),
}


def points(
    experiment: str, space: Space, earlier: Sequence[str]
) -> list[dict[str, Any]]:
    """List the points of an experiment that has no oracle.

    Args:
        experiment: String, its type.
        space: `Space`.
        earlier: Sequence of folders of sweeps that it builds on.

    Returns:
        List of dicts of hyperparameter to value, with a `"config_id"`.

    Raises:
        InputError: If the space lacks a parameter that the experiment varies,
            or the sweeps cannot be merged.
    """
    if experiment == "reproduction":
        return [
            {**point, "config_id": f"reproduction-{number}"}
            for number, point in enumerate(_variants(space, {}, REPRODUCED))
        ]
    found = merged(space, earlier)
    means = np.array([[p.means[name] for name in MEASURED] for p in found])
    ranked = list(zip(found, pareto.layers(means), strict=True))
    if experiment == "optimization_evaluation":
        return [
            {**point.values, "config_id": point.config_id}
            for point, layer in ranked
            if layer < LAYERS_EVALUATED
        ]
    front = [point for point, layer in ranked if layer == 0]
    front.sort(key=lambda point: point.means["Error"])
    return [
        {**variant, "config_id": point.config_id}
        for point in front[:MOST_EVALUATED]
        for variant in _variants(space, point.values, EVALUATED)
    ]


def merged(space: Space, folders: Sequence[str]) -> list[AveragedConfiguration]:
    """Average the results of several sweeps.

    Args:
        space: `Space` that they searched.
        folders: Sequence of the folders of sweeps.

    Returns:
        List of `AveragedConfiguration`.

    Raises:
        InputError: If a folder holds no sweep of the space, their data or
            folds differ, or nothing is complete.
    """
    rows = []
    needed = {*MEASURED, *IDENTITY, *ABOUT, *space.names}
    for folder in folders:
        file = pathlib.Path(folder) / "results.csv"
        results = Results(file, texts=space.texts)
        if missing := needed - set(results.columns):
            raise InputError(
                "Argument `from` must name folders of sweeps of space "
                f"{space.name!r}. Received: {folder!r}, without "
                f"{sorted(missing)}"
            )
        rows += results.read()
    # A run that failed before its data were loaded has none.
    datasets = {row["dataset"] for row in rows if "dataset" in row}
    if len(datasets) > 1:
        raise InputError(
            "Argument `from` must name sweeps of one data set. "
            f"Received: {list(folders)}, of {sorted(datasets)}"
        )
    # Trials of costs alone were not trained.
    found = [
        point
        for point in aggregate(rows, MEASURED, space.names)
        if point.means.keys() >= {*MEASURED}
    ]
    if not found:
        raise InputError(
            "Argument `from` must name sweeps with complete trials that have "
            f"{', '.join(MEASURED)}. Received: {list(folders)}"
        )
    return found


def _variants(
    space: Space, values: Mapping[str, Any], sparsities: Sequence[float]
) -> list[dict[str, Any]]:
    """Return a configuration dense and with each algorithm and sparsity."""
    choices = {one.name: one.values for one in space.parameters}
    algorithms = {*choices.get(ALGORITHM, ())}
    if not {DENSE, *SPARSE} <= algorithms or SPARSITY not in choices:
        raise InputError(
            f"The experiment needs a space with `{SPARSITY}` and a choice "
            f"`{ALGORITHM}` of {[DENSE, *SPARSE]}, such as 'mnist'. "
            f"Received: space={space.name!r} with {space.names}"
        )
    varied = [{ALGORITHM: DENSE}] + [
        {ALGORITHM: name, SPARSITY: sparsity}
        for name, sparsity in itertools.product(SPARSE, sparsities)
    ]
    return [space.completed({**values, **changed}) for changed in varied]
