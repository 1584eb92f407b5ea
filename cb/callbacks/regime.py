"""Switches the optimizer during a training."""

import keras

from cb.callbacks.slots import inner
from cb.optimization.sequence import OptimizerSequence


class FollowRegime(keras.callbacks.Callback):
    """Gives each optimizer of an `OptimizerSequence` its turn."""

    def on_train_begin(self, logs=None):
        self.on_epoch_begin(0)

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = inner(self.model.optimizer)
        if isinstance(optimizer, OptimizerSequence) and optimizer.take_over():
            self.model.make_train_function(force=True)
