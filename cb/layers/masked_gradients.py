"""Masked kernels whose gradient is not that of the product."""

import tensorflow as tf
from keras import ops

# The name of operations that multiply a gradient by a mask.
MASKED_GRADIENT = "masked_gradient"


def with_gradient(weight, mask=None, backward=None) -> tf.Tensor:
    """Return a weight under a mask, and multiply its gradient by another.

    Args:
        weight: Variable or tensor.
        mask: Variable or tensor of its shape, 1 where it is active; by
            default all of it is.
        backward: Variable or tensor of its shape, 1 where it has a gradient;
            by default all of it has.

    Returns:
        Tensor.
    """
    # A variable read inside would need a gradient of its own.
    weight = tf.convert_to_tensor(ops.convert_to_tensor(weight))
    mask, backward = [
        None if one is None else ops.cast(one, weight.dtype)
        for one in (mask, backward)
    ]

    @tf.custom_gradient
    def masked(weight):
        def gradient(upstream):
            # An embedding has a gradient of rows.
            upstream = tf.convert_to_tensor(upstream)
            if backward is None:
                return upstream
            return tf.multiply(upstream, backward, name=MASKED_GRADIENT)

        return tf.identity(weight) if mask is None else weight * mask, gradient

    return masked(weight)
