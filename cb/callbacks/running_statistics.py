"""Reestimates the running statistics of batch normalization."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from cb.callbacks.slots import steps_done
from cb.distribute.variables import write_replicas
from cb.errors import InputError
from cb.layers.functions import own_function
from cb.layers.ghost_batch_normalization import GhostBatchNormalization
from cb.layers.traversal import ordered_layers
from cb.registry import Count
from cb.registry import check_arguments


class ReestimateStatistics(keras.callbacks.Callback):
    """Replaces running statistics by averages over the training set.

    Moving averages lag behind the weights, and with large batches of many
    ghosts they forget within a step. Before every evaluation inside `fit` and
    at the end of every epoch, this callback runs training batches through the
    model, changes nothing else, and gives each batch-normalization layer,
    ghost or not, the mean of its batch statistics. Put it before callbacks
    that save.

    Args:
        dataset: `tf.data.Dataset` of batches `x`, `(x, y)` or `(x, y,
            sample_weight)`, of the size that training has.
        steps: Integer, how many batches to use. Defaults to all.

    Raises:
        InputError: If `steps` is not a positive integer; in `fit`, if the
            model has no batch normalization that trains, or `dataset` is
            empty.

    Example:

    >>> statistics = ReestimateStatistics(dataset, steps=100)
    >>> model.fit(dataset, validation_data=held_out, callbacks=[statistics])

    Reference:

    - [Wu and Johnson, 2021](https://arxiv.org/abs/2105.07576)
    """

    def __init__(self, dataset: tf.data.Dataset, steps: Count | None = None):
        super().__init__()
        check_arguments(ReestimateStatistics, steps=steps)
        self.dataset = dataset
        self.steps = steps

    def on_train_begin(self, logs=None):
        kind = keras.layers.BatchNormalization
        layers = ordered_layers(self.model)
        norms = [layer for layer in layers if isinstance(layer, kind)]
        self._layers = [layer for layer in norms if layer.trainable]
        if not self._layers:
            raise InputError(
                "The model must have batch normalization that trains. "
                f"Received: model {self.model.name!r}, which has none"
            )
        self._variables = [
            variable
            for layer in self._layers
            for variable in (layer.moving_mean, layer.moving_variance)
        ]
        self._function = own_function(
            self._statistics, reduce_retracing=True, autograph=False
        )
        # The step that the present statistics belong to.
        self._estimated_at = steps_done(self.model)

    def on_test_begin(self, logs=None):
        self._estimate()

    def on_epoch_end(self, epoch, logs=None):
        self._estimate()

    def _estimate(self):
        step = steps_done(self.model)
        if step == self._estimated_at:
            return
        self._estimated_at = step
        sums = [np.zeros(v.shape, np.float64) for v in self._variables]
        examples = 0
        # All of them by default.
        for batch in self.dataset.take(self.steps or -1):
            x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            size = int(keras.tree.flatten(x)[0].shape[0])
            examples += size
            for total, value in zip(sums, self._function(x), strict=True):
                total += size * value.numpy()
        if not examples:
            raise InputError(
                "Argument `dataset` must have at least one batch. Received: "
                "an empty data set"
            )
        for variable, total in zip(self._variables, sums, strict=True):
            value = (total / examples).astype(variable.dtype)
            write_replicas(variable, [value])

    def _statistics(self, x):
        """Return the statistics of one batch, one tensor per variable."""
        with contextlib.ExitStack() as stack, keras.StatelessScope() as scope:
            for layer in self._layers:
                stack.enter_context(_without_memory(layer))
            self.model(x, training=True)
            return [
                tf.convert_to_tensor(scope.get_current_value(variable))
                for variable in self._variables
            ]


@contextlib.contextmanager
def _without_memory(layer):
    """Make a layer's running statistics those of the batch while tracing."""
    saved = {"momentum": layer.momentum}
    layer.momentum = 0.0
    if isinstance(layer, GhostBatchNormalization):
        saved["running_statistics"] = layer.running_statistics
        layer.running_statistics = "per_step"
    try:
        yield
    finally:
        for name, value in saved.items():
            setattr(layer, name, value)
