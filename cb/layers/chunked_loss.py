"""A loss whose gradient weighs the chunks of a batch equally."""

import keras
import tensorflow as tf

from cb.layers.ghosts import ghost_layout
from cb.registry import Count
from cb.registry import check_arguments


@keras.saving.register_keras_serializable("cb")
class ChunkedLoss(keras.losses.Loss):
    """A mean over a batch with the gradient of a mean over its chunks.

    The published code runs the chunks of `remainder="torch_chunk"` one after
    the other and divides the sum of their gradients by their number, so an
    example of a smaller chunk counts more. The value of the loss stays the
    mean over the examples, as it is recorded there.

    Args:
        loss: Keras loss that is a mean over examples.
        virtual_batch_size: Integer, as of the ghosts.
        batch_size: As in `cb.layers.GhostBatchNormalization`.
        name: String.

    Example:

    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("sgd", cb.layers.ChunkedLoss(loss, 128))

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)
    """

    def __init__(
        self,
        loss,
        virtual_batch_size: Count = 128,
        batch_size: Count | None = None,
        name="chunked_loss",
    ):
        check_arguments(
            ChunkedLoss,
            virtual_batch_size=virtual_batch_size,
            batch_size=batch_size,
        )
        super().__init__(name=name)
        self.loss = keras.losses.get(loss)
        self.virtual_batch_size = virtual_batch_size
        self.batch_size = batch_size

    def __call__(self, y_true, y_pred, sample_weight=None):
        weights = chunk_weights(
            tf.shape(y_pred)[0], self.virtual_batch_size, self.batch_size
        )
        y_pred = _weigh_gradient(y_pred, tf.cast(weights, y_pred.dtype))
        return self.loss(y_true, y_pred, sample_weight)

    def get_config(self):
        return {
            "name": self.name,
            "loss": keras.saving.serialize_keras_object(self.loss),
            "virtual_batch_size": self.virtual_batch_size,
            "batch_size": self.batch_size,
        }


def chunk_weights(length, virtual_batch_size, batch_size=None):
    """Return the weights of examples that give all chunks the same weight.

    Args:
        length: Integer or scalar tensor, examples in the batch.
        virtual_batch_size: Integer, the wanted size of a chunk.
        batch_size: Integer, the configured batch, or `None` for the batch
            at hand.

    Returns:
        Float32 tensor `(length,)` with mean 1.
    """
    rows, full, rest = ghost_layout(
        length, virtual_batch_size, "torch_chunk", batch_size
    )
    place = tf.range(length)
    size = tf.where(place < full * rows, rows, rest)
    chunks = full + tf.cast(rest > 0, place.dtype)
    return tf.cast(length / (chunks * size), tf.float32)


@tf.custom_gradient
def _weigh_gradient(values, weights):
    """Return the values; their gradient is weighted along the first axis."""
    shape = tf.concat([[-1], tf.ones(tf.rank(values) - 1, tf.int32)], 0)

    def gradient(upstream):
        return upstream * tf.reshape(weights, shape), None

    return values, gradient
