"""Plans of sweeps: the configuration, folds and seeds of their runs."""

import dataclasses
import itertools
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from cb.config import Config
from cb.config import layered
from cb.tuning.objectives import CHEAP
from cb.tuning.objectives import INFERENCE
from cb.tuning.objectives import TRAINING
from cb.tuning.objectives import Objective
from cb.tuning.results import MEASURED
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

    def config(
        self,
        fixed: Mapping[str, Any],
        chosen: Mapping[str, Any],
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
        ordered = sorted([*self.settings, *texts], key=_is_inside)
        return layered(
            self.file, {**fixed, **self.given}, ordered, self.schedule
        )


def _is_inside(setting: str) -> bool:
    """Tell whether a setting names a hyperparameter in a spec."""
    return "." in setting.partition("=")[0]


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

    @property
    def columns(self) -> dict[str, str]:
        """The column of each recorded metric."""
        columns = dict(
            zip(
                (f"{self.split}error", INFERENCE, TRAINING),
                MEASURED,
                strict=True,
            )
        )
        for objective in self.objectives:
            columns.setdefault(objective.name, objective.name)
        for name in self.bounds:
            columns.setdefault(name, name)
        return columns

    @property
    def trained(self) -> bool:
        """Whether any objective or bound needs a training."""
        names = [objective.name for objective in self.objectives]
        return not set(names) | set(self.bounds) <= set(CHEAP)

    def instances(self) -> list[tuple[str, int]]:
        """List the folds and seeds that a configuration runs on."""
        return [*itertools.product(self.folds or ("",), self.seeds)]
