"""Learning-rate schedules made of other schedules."""

import keras
from keras import ops

from cb.registry import Natural
from cb.registry import check_arguments


class WrappedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Base of schedules that change another one.

    Args:
        schedule: Keras schedule, or its configuration; or a float.
    """

    def __init__(self, schedule):
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        self.schedule = schedule

    def get_config(self):
        schedule = self.schedule
        if callable(schedule):
            schedule = keras.saving.serialize_keras_object(schedule)
        return {"schedule": schedule}


@keras.saving.register_keras_serializable("cb")
class Warmup(WrappedSchedule):
    """Approaches another schedule along a straight line.

    At step `t < steps` the value is `initial + (schedule(t) - initial) *
    t / steps`, and `schedule(t)` afterwards. Keras's `CosineDecay`, whose
    warm-up has a target that does not change, then starts its decay; here
    the schedule below has been running all the time.

    Args:
        schedule: Float or Keras schedule.
        steps: Integer, length of the warm-up.
        initial: Float, the first value. Training with a scaled learning rate
            is commonly warmed up from the unscaled one.

    Reference:

    - [Goyal et al., 2017](https://arxiv.org/abs/1706.02677)
    """

    def __init__(self, schedule, steps: Natural, initial: float = 0.0):
        check_arguments(Warmup, steps=steps, initial=initial)
        super().__init__(schedule)
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
        return {
            **super().get_config(),
            "steps": self.steps,
            "initial": self.initial,
        }


@keras.saving.register_keras_serializable("cb", name="PerUpdate")
class PerUpdateSchedule(WrappedSchedule):
    """Counts updates where Keras counts batches whose gradients add up.

    Args:
        schedule: Keras schedule, of the number of updates done.
        batches: Integer, batches in an update.
    """

    def __init__(self, schedule, batches):
        super().__init__(schedule)
        self.batches = batches

    def __call__(self, step):
        return self.schedule(ops.floor_divide(step, self.batches))

    def get_config(self):
        return {**super().get_config(), "batches": self.batches}


@keras.saving.register_keras_serializable("cb", name="Later")
class DelayedSchedule(WrappedSchedule):
    """Another schedule from one of its steps on, counted from there.

    Args:
        schedule: Keras schedule.
        start: Integer, its first step.
    """

    def __init__(self, schedule, start):
        super().__init__(schedule)
        self.start = start

    def __call__(self, step):
        return self.schedule(step + self.start)

    def get_config(self):
        return {**super().get_config(), "start": self.start}
