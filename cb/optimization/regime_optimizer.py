"""Builds the optimizer of a regime."""

from typing import Any
from typing import Literal

import keras

from cb.errors import InputError
from cb.optimization import optimizers
from cb.optimization.learning_rates import constants
from cb.optimization.regimes import SGD
from cb.optimization.regimes import Regime
from cb.optimization.schedules import DelayedSchedule
from cb.optimization.schedules import PerUpdateSchedule
from cb.optimization.sequence import OptimizerSequence
from cb.registry import Spec
from cb.registry import check
from cb.registry import parse_spec
from cb.registry import unknown

MomentumReset = Literal["renewal", "epoch"]
# `sgd` in the code of the sources.
PUBLISHED = "published_sgd"


def build(
    regime: Regime,
    updates_per_epoch: int,
    learning_rate=None,
    momentum_reset: str = "renewal",
    gradient_accumulation_steps: int | None = None,
    global_clipnorm: float | None = None,
) -> keras.optimizers.Optimizer:
    """Make the optimizer that follows a regime.

    Its settings are functions of its step count, so a resumed training
    continues as it would have. `sgd` in a regime is `published_sgd`.

    Args:
        regime: `Regime` that names optimizers.
        updates_per_epoch: Integer.
        learning_rate: Float or Keras schedule of the updates; that of the
            regime by default.
        momentum_reset: `"renewal"`, velocities are set to zero where the
            regime makes its optimizer anew; `"epoch"`, at every epoch, as the
            published code does with these regimes.
        gradient_accumulation_steps: Integer, batches in an update.
        global_clipnorm: Float, the largest norm of the whole gradient.

    Returns:
        A Keras optimizer; an `OptimizerSequence` if the regime has several.

    Raises:
        InputError: If an optimizer cannot do what the regime says.
    """
    check("momentum_reset", momentum_reset, MomentumReset)
    _check_settings(regime)
    if learning_rate is None:
        learning_rate = schedule(regime, "learning_rate", updates_per_epoch)
    made, starts = [], []
    for epoch, segment in regime.segments():
        start = epoch * updates_per_epoch
        spec, given = _rule(segment, updates_per_epoch, momentum_reset)
        given["learning_rate"] = learning_rate
        if start and callable(learning_rate):
            given["learning_rate"] = DelayedSchedule(learning_rate, start)
        if gradient_accumulation_steps:
            # Keras asks for the settings of a batch.
            given = {
                key: PerUpdateSchedule(value, gradient_accumulation_steps)
                if callable(value)
                else value
                for key, value in given.items()
            }
        given["gradient_accumulation_steps"] = gradient_accumulation_steps
        if global_clipnorm is not None:
            given["global_clipnorm"] = global_clipnorm
        made.append(optimizers.build(spec, **given))
        starts.append(start)
    return made[0] if len(made) == 1 else OptimizerSequence(made, starts)


def _check_settings(regime: Regime) -> None:
    """Refuse what a phase gives to an optimizer that does not have it.

    What is left from an earlier one is dropped, on the other hand.
    """
    for _, changes in regime.phases:
        if "optimizer" not in changes:
            continue
        name = parse_spec(changes["optimizer"]).name
        known = optimizers.REGISTRY.parameters(
            PUBLISHED if name in SGD else name
        )
        for key in changes:
            if key not in ("optimizer", "learning_rate") and key not in known:
                raise unknown(f"setting of optimizer {name!r}", key, known)


def schedule(regime: Regime, key: str, updates_per_epoch: int):
    """Return a setting of a regime as a function of the updates done.

    Args:
        regime: `Regime`.
        key: `"learning_rate"`, `"momentum"` or `"weight_decay"`; a setting
            that the regime does not give is zero.
        updates_per_epoch: Integer.

    Returns:
        A Keras schedule, or a float where nothing changes.
    """
    found = regime.values(key, 0.0)
    if len(found) == 1:
        return float(found[0][1])
    return constants(
        [epoch * updates_per_epoch for epoch, _ in found[1:]],
        [float(value) for _, value in found],
    )


def _rule(
    segment: Regime, updates_per_epoch: int, momentum_reset: str
) -> tuple[Spec, dict[str, Any]]:
    """Return the optimizer of a segment and its arguments."""
    spec = parse_spec(segment.at(0)["optimizer"])
    if spec.name in SGD:
        spec = Spec(PUBLISHED, spec.args, spec.kwargs)
        settings = _of_published(segment, updates_per_epoch, momentum_reset)
    elif momentum_reset == "epoch":
        raise InputError(
            "Argument `momentum_reset` must be 'renewal' for a regime of "
            f"optimizer {spec.name!r}. Received: momentum_reset='epoch'"
        )
    else:
        settings = {
            key: _constant(segment, key, spec.name)
            for key in ("momentum", "nesterov", "weight_decay")
            if segment.values(key) != [(0, None)]
        }
    # What the optimizer is given in its own words wins.
    return spec, {k: v for k, v in settings.items() if k not in spec.kwargs}


def _of_published(segment: Regime, updates_per_epoch: int, reset: str):
    renewals = tuple(e * updates_per_epoch for e in segment.renewals())
    return {
        "momentum": schedule(segment, "momentum", updates_per_epoch),
        "nesterov": _constant(segment, "nesterov", PUBLISHED) or False,
        "weight_decay": schedule(segment, "weight_decay", updates_per_epoch),
        "momentum_reset": updates_per_epoch if reset == "epoch" else renewals,
    }


def _constant(segment: Regime, key: str, name: str):
    found = segment.values(key)
    if len(found) > 1:
        raise InputError(
            f"Setting `{key}` of a regime must not change under optimizer "
            f"{name!r}. Received: {found}"
        )
    return found[0][1]
