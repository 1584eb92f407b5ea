"""Checks of a sweep before its first run."""

import contextlib
from collections.abc import Iterator
from typing import Any

from cb.config import Config
from cb.datasets.splits import parse_fold
from cb.errors import InputError
from cb.registry import parse_spec
from cb.training import assembly
from cb.training.data import build_data
from cb.tuning.experiments import EXPERIMENTS
from cb.tuning.objectives import TEST
from cb.tuning.objectives import VALIDATION
from cb.tuning.plan import SweepPlan

MODEL = "model"
MULTI_WORKER = "multi_worker"
ONE_MACHINE = "whose runs are each on one machine"
NOT_OF_A_SWEEP = {
    "worker_hosts": ONE_MACHINE,
    "worker_index": ONE_MACHINE,
    "fold": "whose runs are on the folds of `--folds`",
    "run_dir": "whose runs are in the folder of `--directory`",
    "name": "whose runs are in the folder of `--directory`",
}


def check(plan: SweepPlan) -> None:
    """Build the parts and models at the limits of every parameter.

    Args:
        plan: `SweepPlan`.

    Raises:
        InputError: If an objective cannot be measured, or a part refuses a
            limit of a parameter.
    """
    _check_instances(plan)
    config = configured(plan, plan.space.defaults())
    _check_flags(plan.config({})[0])
    _check_objectives(plan, config)
    # An error of the flags alone must not be blamed on a parameter.
    assembly.completed(configured(plan, {}))
    limits = [
        (p, value) for p in plan.space.parameters for value in p.extremes()
    ]
    for parameter, value in limits:
        with _blaming(plan, parameter, value):
            assembly.completed(_reaching(plan, parameter, value))
    source = build_data(assembly.completed(config), 1).source
    for parameter, value in limits:
        names = parameter.settings(value)
        if any(name.partition(".")[0] == MODEL for name in names):
            changed = assembly.completed(_reaching(plan, parameter, value))
            with _blaming(plan, parameter, value):
                assembly.build_model(changed, source)


@contextlib.contextmanager
def _blaming(plan: SweepPlan, parameter, value) -> Iterator[None]:
    """Add the parameter and its value to an error."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"Parameter `{parameter.name}` of space {plan.space.name!r} "
            f"cannot be {value!r}: {error}"
        ) from error


def configured(plan: SweepPlan, values: dict[str, Any]) -> Config:
    """Return the configuration of a point on its first fold."""
    chosen = plan.space.settings(values)
    if plan.folds:
        chosen["fold"] = plan.folds[0]
    return plan.config(chosen)[0]


def _check_instances(plan: SweepPlan) -> None:
    for name, values in (("folds", plan.folds), ("seeds", plan.seeds)):
        if len({*values}) < len(values):
            raise InputError(
                f"Argument `{name}` must not have duplicates. "
                f"Received: {name}={[*values]}"
            )
    for fold in plan.folds:
        parse_fold(fold)


def _check_flags(config: Config) -> None:
    """Refuse flags of a single run, and of a cluster.

    Each run would be a single worker that waits.
    """
    if parse_spec(config.strategy).name == MULTI_WORKER:
        raise InputError(
            "Each run of a sweep is on one machine; several share the runs "
            "by the variables of keras-tuner (docs/sweeps.md). "
            f"Received: strategy={config.strategy!r}"
        )
    for name, reason in NOT_OF_A_SWEEP.items():
        value = getattr(config, name)
        if value != getattr(Config, name):
            raise InputError(
                f"Argument `{name}` cannot be used in a sweep, {reason}. "
                f"Received: {name}={value!r}"
            )


def _check_objectives(plan: SweepPlan, config: Config) -> None:
    names = plan.decisive
    held_out = plan.folds or config.validation_fraction > 0.0
    if not held_out and any(name.startswith(VALIDATION) for name in names):
        raise InputError(
            "Objectives and constraints on validation examples need "
            f"`--folds` or a `--validation_fraction`. Received: {names}"
        )
    chooses = EXPERIMENTS[plan.experiment].oracle is not None
    if chooses and any(name.startswith(TEST) for name in names):
        raise InputError(
            "A search must not choose by test examples. "
            f"Received: objectives and constraints {names}"
        )


def _reaching(plan: SweepPlan, parameter, value) -> Config:
    """Return a configuration in which a parameter is active with a value."""
    wanted = {parameter.name: value}
    by_name = {one.name: one for one in plan.space.parameters}
    waiting = [parameter]
    while waiting:
        for name, allowed in waiting.pop().when.items():
            wanted.setdefault(name, allowed[0])
            waiting.append(by_name[name])
    return configured(plan, plan.space.completed(wanted))
