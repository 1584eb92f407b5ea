"""Optimizers that take over from one another."""

import bisect

import keras

from cb.distribute.variables import read


@keras.saving.register_keras_serializable("cb")
class Later(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule as it is from a step on, counted from there.

    Args:
        schedule: Keras schedule.
        start: Integer.
    """

    def __init__(self, schedule, start):
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        self.schedule = schedule
        self.start = start

    def __call__(self, step):
        return self.schedule(step + self.start)

    def get_config(self):
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "start": self.start}


@keras.saving.register_keras_serializable("cb")
class Succession(keras.optimizers.Optimizer):
    """Trains with one optimizer after the other.

    Each begins with fresh slots when its turn comes, and counts its updates
    from there. Which one it is, is decided when an update is traced: call
    `take_over` where the training begins and at every epoch, and trace anew
    when it says so. `cb.callbacks.regime.FollowRegime` does both.

    Args:
        optimizers: List of Keras optimizers that agree on the batches in an
            update.
        starts: List of the updates after which each one takes over,
            ascending from 0.
        name: String.
    """

    def __init__(self, optimizers, starts, name="succession"):
        super().__init__(learning_rate=0.0, name=name)
        self.optimizers = [
            keras.optimizers.deserialize(optimizer)
            if isinstance(optimizer, dict)
            else optimizer
            for optimizer in optimizers
        ]
        self.starts = list(starts)
        self._turn = 0

    @property
    def current(self):
        """The optimizer whose turn it is."""
        return self.optimizers[self._turn]

    @property
    def learning_rate(self):
        return self.current.learning_rate

    @property
    def variables(self):
        return self._variables + [
            variable
            for optimizer in self.optimizers
            for variable in optimizer.variables
        ]

    def take_over(self):
        """Let the optimizer have its turn that the updates done call for.

        Returns:
            Boolean, whether it is another one than before.
        """
        before = self._turn
        self._turn = bisect.bisect(self.starts, int(read(self.iterations))) - 1
        batches = self.gradient_accumulation_steps or 1
        done = int(read(self._iterations)) - self.starts[self._turn] * batches
        self.current._iterations.assign(done)
        return self._turn != before

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        for optimizer in self.optimizers:
            optimizer.build(variables)
        # Not before: each of them has accumulators of its own.
        self.gradient_accumulation_steps = (
            self.current.gradient_accumulation_steps
        )

    def apply(self, grads, trainable_variables=None):
        if not self.built:
            with keras.name_scope(self.name):
                self.build(list(trainable_variables))
        self.current.apply(grads, trainable_variables)
        self._iterations.assign_add(1)

    def scale_loss(self, loss):
        return self.current.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        self.current.finalize_variable_values(var_list)

    def get_config(self):
        return {
            "name": self.name,
            "optimizers": [
                keras.saving.serialize_keras_object(optimizer)
                for optimizer in self.optimizers
            ],
            "starts": self.starts,
        }
