"""Plans of sweeps: the configuration, folds and seeds of their runs."""

import dataclasses
import itertools
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from cb.config import METADATA
from cb.config import Config
from cb.config import is_explicit
from cb.config import layered
from cb.tuning.objectives import CHEAP
from cb.tuning.objectives import INFERENCE
from cb.tuning.objectives import TRAINING
from cb.tuning.objectives import Objective
from cb.tuning.racing import Halving
from cb.tuning.results import MEASURED
from cb.tuning.results import Row
from cb.tuning.space import Space


@dataclasses.dataclass(frozen=True)
class FixedConfiguration:
    """The part of the configuration that all runs of a sweep share.

    Args:
        file: String, a file of flags, or `None`.
        given: Dict of flag to value.
        settings: Sequence of `"name=value"`, of `--set`.
        schedule: String, a schedule file, or `None`.
    """

    file: str | None = None
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    settings: Sequence[str] = ()
    schedule: str | None = None

    def of_file(self) -> set[str]:
        """Return the fields that the file sets.

        Raises:
            InputError: If it cannot be read, or a value is wrong.
        """
        _, sources = layered(self.file, {}, [])
        return {name for name in METADATA if is_explicit(name, sources)}

    def config(
        self, fixed: Mapping[str, Any], chosen: Mapping[str, Any]
    ) -> tuple[Config, dict[str, str]]:
        """Combine fixed values of a space, given flags and choices.

        Later ones win.

        Args:
            fixed: Dict of flag to value.
            chosen: Dict of the name of a flag, or in a spec, to value.

        Returns:
            Tuple of a `Config` and a dict of field to its source.

        Raises:
            InputError: If a value is wrong.
        """
        texts = [f"{name}={value!r}" for name, value in chosen.items()]
        # A choice of a whole part must not undo a value set inside of it.
        ordered = sorted(
            [*self.settings, *texts],
            key=lambda setting: "." in setting.partition("=")[0],
        )
        flags = {**fixed, **self.given}
        return layered(self.file, flags, ordered, self.schedule)


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """The plan of a sweep.

    Args:
        experiment: String, its type.
        space: `Space`.
        base: `FixedConfiguration`.
        objectives: Tuple of `Objective`.
        bounds: Dict of metric to the largest value allowed.
        split: `"val_"` or `"test_"`, the examples whose error is reported.
        folds: Tuple of strings such as `"1/5"`; empty for none.
        seeds: Tuple of integers, one run each.
        points: Tuple of dicts of values with a `"config_id"`, for experiments
            without an oracle.
        halving: `Halving`, or `None` for a race over folds.
    """

    experiment: str
    space: Space
    base: FixedConfiguration
    objectives: tuple[Objective, ...]
    bounds: Mapping[str, float]
    split: str
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    points: tuple[Mapping[str, Any], ...] = ()
    halving: Halving | None = None

    @property
    def decisive(self) -> list[str]:
        """The metrics of the objectives and bounds."""
        return [*(one.name for one in self.objectives), *self.bounds]

    @property
    def columns(self) -> dict[str, str]:
        """The column of each recorded metric."""
        published = (f"{self.split}error", INFERENCE, TRAINING)
        columns = dict(zip(published, MEASURED, strict=True))
        for name in self.decisive:
            columns.setdefault(name, name)
        return columns

    def scores(self, row: Row) -> list[float]:
        """Return the objectives of a row, to be minimized."""
        return [
            objective.minimized(row[self.columns[objective.name]])
            for objective in self.objectives
        ]

    @property
    def trained(self) -> bool:
        """Whether any objective or bound needs a training."""
        return not {*self.decisive} <= {*CHEAP}

    def config(
        self, chosen: Mapping[str, Any]
    ) -> tuple[Config, dict[str, str]]:
        """Return the configuration of a choice, as in `FixedConfiguration`."""
        return self.base.config(self.space.fixed, chosen)

    def means(self, rows: Sequence[Row]) -> dict[str, float]:
        """Average each metric over the rows that have it."""
        found = {}
        for name, column in self.columns.items():
            known = [row[column] for row in rows if column in row]
            if known:
                found[name] = sum(known) / len(known)
        return found

    def instances(self) -> list[tuple[str, int]]:
        """List the folds and seeds that a configuration runs on."""
        return [*itertools.product(self.folds or ("",), self.seeds)]
