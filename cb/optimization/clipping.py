"""Clipping by the global norm, as published and across replicas."""

import keras
import tensorflow as tf

from cb.registry import NotNegative

LearningRate = NotNegative | keras.optimizers.schedules.LearningRateSchedule
# Keeps the quotient finite at a gradient of zero, as in PyTorch's clipping.
EPSILON = 1e-6


def clip_by_global_norm(gradients, limit: float):
    """Scale gradients down together if their common norm is too large.

    The factor is `min(1, limit / (norm + 1e-6))`.

    Args:
        gradients: List of tensors of any floating types. The norm of small
            ones is that in float32, where their squares do not overflow.
        limit: Float, the largest norm.

    Returns:
        List of tensors.
    """
    wide = any(gradient.dtype == tf.float64 for gradient in gradients)
    dtype = tf.float64 if wide else tf.float32
    norm = tf.linalg.global_norm([tf.cast(g, dtype) for g in gradients])
    factor = tf.minimum(tf.ones((), dtype), limit / (norm + EPSILON))
    return [
        gradient * tf.cast(factor, gradient.dtype) for gradient in gradients
    ]


class GlobalClipping(keras.optimizers.Optimizer):
    """Base of optimizers whose `global_clipnorm` sees the whole gradient.

    Keras clips the gradient of each replica and then sums, so that the
    result depends on the number of replicas; here the sum is clipped.
    Weight decay does not count: it is added afterwards.

    Args:
        clipnorm: Float, the largest norm of each weight's gradient.
        clipvalue: Float, the largest absolute value in a gradient.
        global_clipnorm: Float, the largest norm of the whole gradient.
        use_ema: Boolean, whether the weights at the end are an exponential
            moving average.
        ema_momentum: Float, decay of that average.
        ema_overwrite_frequency: Integer, every how many updates the average
            replaces the weights. By default at the end of training alone.
        loss_scale_factor: Float by which the loss is multiplied, and the
            gradient divided again.
        gradient_accumulation_steps: Integer, batches in an update.
        name: String.
    """

    def _clip_gradients(self, grads):
        if not self.global_clipnorm:
            return super()._clip_gradients(grads)
        # Those of embeddings have a row for each token, also where they repeat.
        grads = [tf.convert_to_tensor(gradient) for gradient in grads]
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return clip_by_global_norm(grads, self.global_clipnorm)
        # Keras sums over replicas after this, hence the division.
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, grads)
        return [
            gradient / context.num_replicas_in_sync
            for gradient in clip_by_global_norm(total, self.global_clipnorm)
        ]
