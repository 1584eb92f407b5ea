"""Bundle entropy of activations that come batch by batch."""

import keras
import tensorflow as tf

from cb.bundles.entropy import PUBLISHED_EPSILON
from cb.bundles.entropy import bundle_entropy
from cb.bundles.entropy import bundle_entropy_of_keys
from cb.bundles.entropy import keys
from cb.bundles.inputs import check_labels
from cb.bundles.inputs import check_step
from cb.errors import InputError
from cb.errors import argument_error
from cb.metrics.weight_magnitude import magnitude_of_layers
from cb.metrics.weight_magnitude import magnitude_of_model

__all__ = ["BundleEntropy", "bundle_entropy"]


@keras.saving.register_keras_serializable("cb")
class BundleEntropy(keras.metrics.Metric):
    """Bundle entropy of the output of a layer.

    Batches, and the parts that replicas saw, are put together before
    anything is compared, so that the value is the one of
    `cb.metrics.bundle_entropy` on all examples at once. Of every example
    only a hash of 128 bits, its label and its finiteness are kept.

    Args:
        num_classes: Integer.
        num_samples: Integer, how many examples each replica keeps. Those
            that come later are left out.
        learning_rate: Float, of the training step.
        batch_size: Integer, examples of the training step.
        amplitude: Float, largest absolute weight that the activations meet.
            Or the layer that consumes them, whose kernels are read at every
            update; or the whole model, as published.
        epsilon: Float, added to probabilities under the logarithm; `0` for
            the exact entropy.
        name: String.
        dtype: Dtype of the result.

    Call arguments:
        y_true: Integer labels of shape `(batch,)`.
        y_pred: Activations of shape `(batch, ...)`.

    Raises:
        InputError: If an argument is out of range.

    Example:

    >>> metric = cb.metrics.BundleEntropy(10, 512, 1e-3, 64, amplitude=1.0)
    >>> metric.update_state(labels, activations)
    >>> metric.result()

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    """

    def __init__(
        self,
        num_classes,
        num_samples,
        learning_rate,
        batch_size,
        amplitude,
        epsilon=PUBLISHED_EPSILON,
        name="bundle_entropy",
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        check_step(learning_rate, batch_size)
        if not isinstance(num_samples, int) or num_samples < 1:
            raise argument_error(
                "num_samples", "a positive integer", num_samples
            )
        self.num_classes = num_classes
        self.num_samples = num_samples
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.amplitude = amplitude
        self.epsilon = epsilon
        # Each replica writes into a part of its own and leaves zeros in the
        # others, so the sum that merges replicas puts the parts together.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self._keys = self._integers("keys", (replicas, num_samples, 3))
        self._labels = self._integers("labels", (replicas, num_samples))
        self._seen = self._integers("seen", (replicas,))

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise InputError(
                "Metric `BundleEntropy` does not support `sample_weight`. "
                f"Received: sample_weight={sample_weight!r}"
            )
        replica = self._replica()
        seen = tf.cast(self._seen[replica], tf.int32)
        free = self.num_samples - seen
        # Keras may hand integers over as floats.
        labels = check_labels(
            tf.cast(y_true, tf.int64), y_pred.shape[0], self.num_classes
        )[:free]
        hashes = keys(
            y_pred, self.learning_rate, self.batch_size, self._amplitude()
        )[:free]
        positions = seen + tf.range(tf.size(labels))
        places = tf.stack(
            [tf.fill(tf.shape(positions), replica), positions], axis=1
        )
        for variable, values in ((self._keys, hashes), (self._labels, labels)):
            old = tf.convert_to_tensor(variable)
            variable.assign(tf.tensor_scatter_nd_update(old, places, values))
        added = tf.one_hot(
            replica, self._seen.shape[0], tf.size(labels), dtype=tf.int32
        )
        self._seen.assign_add(tf.cast(added, tf.int64))

    def partition(self):
        """Return ids, count and entropy as `cb.metrics.bundle_entropy` does.

        The examples of the first replica come first.
        """
        filled = tf.sequence_mask(
            tf.convert_to_tensor(self._seen), self.num_samples
        )
        return bundle_entropy_of_keys(
            tf.boolean_mask(tf.convert_to_tensor(self._keys), filled),
            tf.boolean_mask(tf.convert_to_tensor(self._labels), filled),
            tf.cast(self.num_classes, tf.int64),
            tf.cast(self.epsilon, tf.float64),
        )

    def result(self):
        return tf.cast(self.partition()[2], self.dtype)

    def get_config(self):
        # A layer is no part of a metric's config; its amplitude is.
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "num_samples": self.num_samples,
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "amplitude": float(self._amplitude()),
            "epsilon": self.epsilon,
        }

    def _integers(self, name, shape):
        return self.add_variable(shape, "zeros", dtype="int64", name=name)

    def _replica(self):
        context = tf.distribute.get_replica_context()
        if context is not None:
            return context.replica_id_in_sync_group
        if tf.executing_eagerly():
            raise InputError(
                "Metric `BundleEntropy` of a strategy must be updated in a "
                "replica. Call `update_state` inside `strategy.run`."
            )
        # Keras asks for shapes outside of replicas and keeps no value.
        return 0

    def _amplitude(self):
        if isinstance(self.amplitude, keras.Model):
            return magnitude_of_model(self.amplitude)
        if isinstance(self.amplitude, keras.layers.Layer):
            return magnitude_of_layers([self.amplitude])
        return self.amplitude
