"""How many steps run between two calls of callbacks."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf

from cb.callbacks.reallocation.callback import Reallocation
from cb.callbacks.reallocation.requirements import needs_single_steps
from cb.config import Config
from cb.registry import parse_spec
from cb.schedules import StepSchedule
from cb.training.data import Data


class Undisturbed(NamedTuple):
    """Batches that may run without a call of callbacks.

    Attributes:
        batches: Integer; epochs end and callbacks act after multiples of it.
        reason: String, why it is no more.
    """

    batches: int
    reason: str


def undisturbed(
    config: Config, data: Data, reallocations: Iterable[Reallocation]
) -> Undisturbed:
    """Return the most batches that may run without a call of callbacks.

    Args:
        config: `Config`.
        data: `Data`.
        reallocations: Those of the training.
    """
    # The updates of several replicas cannot be inside of the conditions of
    # Keras's loop over steps:
    # https://github.com/keras-team/keras/issues/19246
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return Undisturbed(1, "Keras takes single steps on several replicas")
    if config.weight_distance:
        return Undisturbed(1, "weight distances are of single steps")
    if parse_spec(config.auto_tune).name != "none":
        return Undisturbed(1, "auto-tune checks after single steps")
    batches = epoch = data.batches.steps_per_epoch
    for callback in reallocations:
        if needs_single_steps(callback.algorithm):
            return Undisturbed(1, f"{config.reallocation} needs single steps")
        period = callback.algorithm.period(data.training_length())
        if period is not None and config.dtype == "mixed_float16":
            return Undisturbed(1, "updates that overflow delay events")
        accumulation = config.gradient_accumulation
        batches = common_batches(batches, period, accumulation)
    reason = f"it must divide the {epoch} batches of an epoch"
    if batches < epoch:
        reason += f" and those before every event of {config.reallocation}"
    return Undisturbed(batches, reason)


def common_batches(
    batches: int, period: StepSchedule | None, accumulation: int
) -> int:
    """Return the most batches that divide an epoch and the time to each event.

    Args:
        batches: Integer, those of an epoch.
        period: `StepSchedule` of the events, in updates, or `None`.
        accumulation: Integer, batches in an update.
    """
    common, step = batches, 0
    while period is not None and common > 1:
        due = period.next(step)
        if due is None:
            break
        common, step = math.gcd(common, due * accumulation), due
    return common


def steps_in_execution(at_most: int, common: int) -> int:
    """Return the largest divisor of `common` that is at most `at_most`.

    Example:

    >>> steps_in_execution(20, 44)
    11
    """
    return max(n for n in range(1, at_most + 1) if common % n == 0)
