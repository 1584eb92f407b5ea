"""Training with a sequence of optimizers."""

import bisect

import keras

from cb.distribute.variables import read
from cb.optimization.wrapper import OptimizerWrapper
from cb.optimization.wrapper import as_optimizer


@keras.saving.register_keras_serializable("cb", name="Succession")
class OptimizerSequence(OptimizerWrapper):
    """Trains with one optimizer after the other.

    Each begins with fresh slots when its turn comes, and counts its updates
    from there. The optimizer in use is fixed when an update is traced: call
    `take_over` where the training begins and at every epoch, and trace anew
    if it returns `True`. `cb.callbacks.regime.FollowRegime` does both.

    Args:
        optimizers: List of Keras optimizers that agree on the batches in an
            update.
        starts: List of the updates after which each one takes over,
            ascending from 0.
        name: String.
    """

    def __init__(self, optimizers, starts, name="succession"):
        super().__init__(name)
        self.optimizers = [as_optimizer(one) for one in optimizers]
        self.starts = list(starts)
        self._turn = 0

    @property
    def wrapped(self):
        """All optimizers, whosever turn it is."""
        return self.optimizers

    @property
    def current(self):
        """The optimizer whose turn it is."""
        return self.optimizers[self._turn]

    @property
    def variables(self):
        return self._variables + [
            variable
            for optimizer in self.optimizers
            for variable in optimizer.variables
        ]

    def take_over(self) -> bool:
        """Switch to the optimizer that is due after the updates done so far.

        Returns:
            Boolean, whether the optimizer has changed.
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
        self.ensure_built(trainable_variables)
        self.current.apply(grads, trainable_variables)
        self._iterations.assign_add(1)

    def get_config(self):
        return {
            "name": self.name,
            "optimizers": [
                keras.saving.serialize_keras_object(optimizer)
                for optimizer in self.optimizers
            ],
            "starts": self.starts,
        }
