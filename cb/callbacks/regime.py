"""Switches the optimizer during a training."""

import keras

from cb.optimization.sequence import OptimizerSequence


class FollowRegime(keras.callbacks.Callback):
    """Gives each optimizer of an `OptimizerSequence` its turn."""

    def on_train_begin(self, logs=None):
        self._take_over()

    def on_epoch_begin(self, epoch, logs=None):
        self._take_over()

    def _take_over(self):
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if isinstance(optimizer, OptimizerSequence) and optimizer.take_over():
            self.model.make_train_function(force=True)
