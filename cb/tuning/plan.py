"""How the trials of a sweep are run: what they share, and on what."""

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
class Base:
    """What all runs of a sweep have in common, as it was given.

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
        """Lay what was given over what a space fixes, and choices over both.

        Args:
            fixed: Dict of flag to value.
            chosen: Dict of the name of a flag, or in a spec, to value.

        Returns:
            Tuple of a `Config` and a dict of where its values came from.

        Raises:
            InputError: If a value is wrong.
        """
        texts = [f"{name}={value!r}" for name, value in chosen.items()]
        # A choice of a whole part must not undo what was set inside of it.
        ordered = sorted([*self.settings, *texts], key=_is_inside)
        return layered(
            self.file, {**fixed, **self.given}, ordered, self.schedule
        )


def _is_inside(setting: str) -> bool:
    """Tell whether a setting is of a hyperparameter in a spec."""
    return "." in setting.partition("=")[0]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the trials of a sweep are run.

    Args:
        experiment: String, its type.
        space: `Space`.
        base: `Base`.
        objectives: Tuple of `Objective`.
        bounds: Dict of metric to the largest value allowed.
        split: `"val_"` or `"test_"`, whose error is reported.
        folds: Tuple of texts such as `"1/5"`; empty for none.
        seeds: Tuple of integers, those of the runs.
        points: Tuple of dicts of values, where they are not chosen by an
            oracle but numbered, each with its `"config_id"`.
    """

    experiment: str
    space: Space
    base: Base
    objectives: tuple[Objective, ...]
    bounds: Mapping[str, float]
    split: str
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    points: tuple[Mapping[str, Any], ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """The column of each metric that is kept."""
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
        """List the folds and seeds that a configuration is run on."""
        return [*itertools.product(self.folds or ("",), self.seeds)]
