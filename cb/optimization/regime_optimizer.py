"""The optimizer that a regime describes."""

import keras

from cb.errors import InputError
from cb.optimization.published_sgd import PublishedSGD
from cb.optimization.regimes import Regime

MOMENTUM_RESETS = ("renewal", "epoch")


def build(
    regime: Regime,
    steps_per_epoch: int,
    momentum_reset: str = "renewal",
    **options,
) -> PublishedSGD:
    """Make the optimizer that follows a regime.

    Its settings are functions of its step count, so nothing has to be called
    at epochs and a resumed training goes on as it would have.

    Args:
        regime: `Regime` whose optimizers are all `"sgd"`.
        steps_per_epoch: Integer, batches in an epoch.
        momentum_reset: `"renewal"`, velocities are set to zero where the
            regime makes its optimizer anew; `"epoch"`, at every epoch, which
            is what the published code does with these regimes.
        **options: Other arguments of `PublishedSGD`.

    Returns:
        A `PublishedSGD`.

    Raises:
        InputError: If another optimizer is named, or `momentum_reset` is
            wrong. Train the segments of such a regime one after the other.
    """
    others = {name for _, name in regime.values("optimizer")} - {"sgd"}
    if others:
        raise InputError(
            "One optimizer can follow a regime only if all are 'sgd'. "
            f"Received: {sorted(others)}"
        )
    if len(regime.values("nesterov", False)) > 1:
        raise InputError(
            "Setting `nesterov` of a regime must not change. "
            f"Received: {regime.values('nesterov', False)}"
        )
    return PublishedSGD(
        schedule(regime, "learning_rate", steps_per_epoch),
        momentum=schedule(regime, "momentum", steps_per_epoch),
        nesterov=regime.values("nesterov", False)[0][1],
        weight_decay=schedule(regime, "weight_decay", steps_per_epoch),
        momentum_reset=_resets(
            regime,
            steps_per_epoch,
            momentum_reset,
            options.get("gradient_accumulation_steps") or 1,
        ),
        **options,
    )


def schedule(regime: Regime, key: str, steps_per_epoch: int):
    """Return a setting of a regime as a function of the step.

    Args:
        regime: `Regime`.
        key: `"learning_rate"`, `"momentum"` or `"weight_decay"`; a setting
            that the regime does not give is zero.
        steps_per_epoch: Integer, batches in an epoch.

    Returns:
        A Keras schedule, or a float where nothing changes.
    """
    found = regime.values(key, 0.0)
    if len(found) == 1:
        return float(found[0][1])
    # Keras applies a value up to and including its boundary.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [epoch * steps_per_epoch - 1 for epoch, _ in found[1:]],
        [float(value) for _, value in found],
    )


def _resets(regime, steps_per_epoch, momentum_reset, accumulation):
    """Return when velocities are set to zero, counted in updates."""
    if momentum_reset not in MOMENTUM_RESETS:
        raise InputError(
            f"Argument `momentum_reset` must be one of {MOMENTUM_RESETS}. "
            f"Received: momentum_reset={momentum_reset!r}"
        )
    if steps_per_epoch % accumulation:
        raise InputError(
            "Argument `gradient_accumulation_steps` must divide the "
            f"{steps_per_epoch} batches of an epoch. "
            f"Received: gradient_accumulation_steps={accumulation}"
        )
    updates = steps_per_epoch // accumulation
    if momentum_reset == "epoch":
        return updates
    return tuple(epoch * updates for epoch in regime.renewals()) or None
