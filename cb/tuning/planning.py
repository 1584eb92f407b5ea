"""Plans of sweeps, made from settings before TensorFlow is imported."""

import ast
import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

from cb.errors import InputError
from cb.files.aliases import require_text
from cb.registry import parse_spec
from cb.registry import unknown
from cb.tuning import experiments
from cb.tuning.experiments import EXPERIMENTS
from cb.tuning.objectives import parse_constraints
from cb.tuning.objectives import parse_objectives
from cb.tuning.plan import FixedConfiguration
from cb.tuning.plan import SweepPlan
from cb.tuning.racing import parse_racing
from cb.tuning.space import Space
from cb.tuning.space_file import read_space
from cb.tuning.worker import Limits


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """Settings of a sweep, besides the configuration that its runs share.

    Args:
        directory: String, the folder of the sweep.
        experiment: String, one of `cb.tuning.experiments.EXPERIMENTS`.
        space: String, a YAML file or the name of a published space.
        oracle: Spec of an oracle; that of the experiment by default.
        objectives: Sequence of objectives; those of the experiment by
            default.
        constraints: Sequence of `"metric<=number"`.
        max_trials: Integer; the budget of the space by default.
        folds: Sequence of folds such as `"1/5"`; those of the experiment by
            default.
        seeds: Sequence of integers, of the runs; `--seed` by default.
        racing: String, `"folds"` or a spec of `"halving"`.
        earlier: Sequence of folders of sweeps to build on.
        limits: `Limits` of each run.
        storage: String, a database of Optuna such as `"sqlite:///FILE"` that
            gets the trials too, or `None`.
        reference: Sequence of floats, the worst value of each objective that
            counts in the report's hypervolume.
    """

    directory: str
    experiment: str = experiments.SEARCH
    space: str = "digits"
    oracle: str | None = None
    objectives: Sequence[str] = ()
    constraints: Sequence[str] = ()
    max_trials: int | None = None
    folds: Sequence[str] = ()
    seeds: Sequence[int] = ()
    racing: str = "folds"
    earlier: Sequence[str] = ()
    limits: Limits = Limits()
    storage: str | None = None
    reference: Sequence[float] = ()


def build_plan(settings: SweepSettings, base: FixedConfiguration) -> SweepPlan:
    """Make the plan of a sweep.

    Args:
        settings: `SweepSettings`.
        base: `FixedConfiguration`.

    Returns:
        `SweepPlan`.

    Raises:
        InputError: If a setting is wrong.
    """
    require_text("directory", settings.directory)
    if settings.experiment not in EXPERIMENTS:
        raise unknown("experiment", settings.experiment, EXPERIMENTS)
    experiment = EXPERIMENTS[settings.experiment]
    if experiment.builds_on != bool(settings.earlier):
        needs = "needs" if experiment.builds_on else "cannot use"
        raise InputError(
            f"Experiment `{settings.experiment}` {needs} earlier sweeps. "
            f"Received: from={list(settings.earlier)}"
        )
    space = read_space(settings.space)
    literals = dict(map(_literal, base.settings))
    of_file = base.of_file()
    given = {*base.given, *literals, *of_file}
    # As given as flags are.
    fixed = {k: v for k, v in space.fixed.items() if k not in of_file}
    space = dataclasses.replace(space, fixed=fixed)
    points: list[dict[str, Any]] = []
    if experiment.oracle is None:
        points = experiments.points(
            settings.experiment, space, settings.earlier
        )
        _check_points(settings, space, given, len(points))
        space = dataclasses.replace(
            space, fixed={**space.fixed, "validation_fraction": 0.0}
        )
    else:
        config, _ = base.config(space.fixed, {})
        values = {**literals, **config.as_dict()}
        space = space.fixing({name: values[name] for name in given})
    config, _ = base.config(space.fixed, {})
    plan = SweepPlan(
        experiment=settings.experiment,
        space=space,
        base=base,
        objectives=parse_objectives(
            settings.objectives or experiment.objectives
        ),
        bounds=parse_constraints(settings.constraints),
        split=experiment.split,
        folds=tuple(settings.folds or experiment.folds),
        seeds=tuple(settings.seeds) or (config.seed,),
        points=tuple(points),
        halving=parse_racing(settings.racing),
    )
    oracle = settings.oracle or experiment.oracle
    if plan.halving:
        _check_halving(plan, oracle)
    if oracle is not None and parse_spec(oracle).name == "hyperband":
        _check_hyperband(plan, settings)
    return plan


def _check_points(
    settings: SweepSettings, space: Space, given: set[str], number: int
) -> None:
    """Refuse what an experiment without an oracle would not use."""
    # The points would overwrite these flags.
    if written := given & space.written:
        raise InputError(
            f"Flag `{min(written)}` cannot be given, for the points of "
            f"experiment `{settings.experiment}` set it. "
            f"Received: space={space.name!r}"
        )
    for name in ("max_trials", "oracle"):
        if (value := getattr(settings, name)) is not None:
            raise InputError(
                f"Argument `{name}` cannot be given, for experiment "
                f"`{settings.experiment}` has {number} points, all of them "
                f"run. Received: {name}={value!r}"
            )


def _check_hyperband(plan: SweepPlan, settings: SweepSettings) -> None:
    """Refuse what this oracle decides itself."""
    reason = ""
    if settings.max_trials is not None:
        reason = (
            "`max_trials` cannot be given. "
            f"Received: max_trials={settings.max_trials}"
        )
    elif "epochs" in plan.space.written:
        reason = (
            "`epochs` cannot be searched: give the most of them by `--epochs`. "
            f"Received: space={plan.space.name!r}"
        )
    if reason:
        raise InputError(
            "Oracle `hyperband` chooses the number of trials and their epochs, "
            f"so that {reason}"
        )


def _check_halving(plan: SweepPlan, oracle: str | None) -> None:
    """Refuse to halve trials where that would mean nothing or two things."""
    instances = plan.instances()
    reason = ""
    if oracle is None:
        reason = f"experiment `{plan.experiment}` runs all of its points"
    elif parse_spec(oracle).name == "hyperband":
        reason = "oracle `hyperband` chooses the epochs itself"
    elif not plan.trained:
        reason = "nothing is trained for these objectives"
    elif len(instances) > 1:
        reason = (
            "a trial is halved on one fold and seed; several are for a race "
            f"over folds, {len(instances)} are given"
        )
    if reason:
        raise InputError(
            f"Argument `racing` cannot be `halving`: {reason}. "
            f"Received: racing={str(plan.halving)!r}"
        )


def _literal(setting: str) -> tuple[str, Any]:
    """Return the name and the value of `--set`, text if it is no literal."""
    name, _, text = setting.partition("=")
    with contextlib.suppress(ValueError, SyntaxError):
        return name, ast.literal_eval(text)
    return name, text
