"""What a larger batch does to the learning rate and to the epochs."""

import math

import keras
from keras import ops

from cb.errors import InputError
from cb.registry import unknown

SCALINGS = {
    "none": lambda ratio: 1.0,
    "sqrt": math.sqrt,
    "linear": lambda ratio: ratio,
}


def learning_rate_factor(
    scaling: str, batch_size: int, reference_batch_size: int | None
) -> float:
    """Return what the learning rate is multiplied by for a larger batch.

    Args:
        scaling: `"none"`, `"sqrt"` (which keeps the covariance of the
            updates) or `"linear"`, of the ratio of the batches.
        batch_size: Integer, the batch in use, all replicas together.
        reference_batch_size: Integer, the batch for which the learning rate
            was chosen; may be `None` under `"none"`.

    Returns:
        Float; under 1 for a batch smaller than the reference.

    Raises:
        InputError: If the scaling is unknown or the reference missing.

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741), square root
    - [Goyal et al., 2017](https://arxiv.org/abs/1706.02677), linear
    """
    if scaling not in SCALINGS:
        raise unknown("learning-rate scaling", scaling, SCALINGS)
    if scaling == "none":
        return 1.0
    ratio = _ratio(
        batch_size, reference_batch_size, f"learning_rate_scaling={scaling!r}"
    )
    return SCALINGS[scaling](ratio)


def adaptation_factor(batch_size: int, reference_batch_size: int | None) -> int:
    """Return what epochs are multiplied by so that the updates match.

    Args:
        batch_size: Integer, the batch in use, all replicas together.
        reference_batch_size: Integer, the batch for which the epochs were
            chosen.

    Returns:
        Integer, the ratio of the batches rounded up.

    Raises:
        InputError: If a batch is missing or not a positive integer.
    """
    ratio = _ratio(batch_size, reference_batch_size, "regime_adaptation=True")
    return math.ceil(ratio)


def _ratio(batch_size, reference_batch_size, reason) -> float:
    if reference_batch_size is None:
        raise InputError(
            f"Argument `reference_batch_size` must be given with {reason}. "
            "Received: reference_batch_size=None"
        )
    for name, value in (
        ("batch_size", batch_size),
        ("reference_batch_size", reference_batch_size),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(
                f"Argument `{name}` must be a positive integer. "
                f"Received: {name}={value!r}"
            )
    return batch_size / reference_batch_size


@keras.saving.register_keras_serializable("cb")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Approaches another schedule along a straight line.

    At step `t < steps` the value is `initial + (schedule(t) - initial) *
    t / steps`, as in Keras's `CosineDecay`, and `schedule(t)` afterwards.

    Args:
        schedule: Float or Keras schedule.
        steps: Integer, length of the warm-up.
        initial: Float, the first value. Training with a scaled learning rate
            is commonly warmed up from the unscaled one.

    Reference:

    - [Goyal et al., 2017](https://arxiv.org/abs/1706.02677)
    """

    def __init__(self, schedule, steps, initial=0.0):
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
            raise InputError(
                "Argument `steps` must be an integer that is not negative. "
                f"Received: steps={steps!r}"
            )
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        self.schedule = schedule
        self.steps = steps
        self.initial = initial

    def __call__(self, step):
        target = self.schedule
        if callable(target):
            target = target(step)
        target = ops.convert_to_tensor(target, "float32")
        progress = ops.cast(step, "float32") / max(self.steps, 1)
        risen = self.initial + (target - self.initial) * progress
        return ops.where(ops.less(step, self.steps), risen, target)

    def get_config(self):
        schedule = self.schedule
        if callable(schedule):
            schedule = keras.saving.serialize_keras_object(schedule)
        return {
            "schedule": schedule,
            "steps": self.steps,
            "initial": self.initial,
        }


@keras.saving.register_keras_serializable("cb")
class PerUpdate(keras.optimizers.schedules.LearningRateSchedule):
    """Counts updates where Keras counts batches whose gradients add up.

    Args:
        schedule: Keras schedule, of the number of updates done.
        batches: Integer, batches in an update.
    """

    def __init__(self, schedule, batches):
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        self.schedule = schedule
        self.batches = batches

    def __call__(self, step):
        return self.schedule(ops.floor_divide(step, self.batches))

    def get_config(self):
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "batches": self.batches}
