"""Product with a sparse matrix as a TensorFlow function."""

import numpy as np
import tensorflow as tf

from cb.kernels import compiled
from cb.kernels.threads import share
from cb.kernels.tiles import aligned
from cb.kernels.tiles import shares
from cb.kernels.tiles import tile_size


def multiply(x, values, indices, starts):
    """Multiply examples by a sparse matrix, on the processor.

    Time and memory of the forward and backward passes are proportional to the
    number of entries, apart from one copy of the inputs with examples as the
    last axis. Second derivatives are not supported.

    Args:
        x: float32 tensor `(examples, inputs)`.
        values: float32 tensor `(entries,)`.
        indices: int32 tensor `(entries,)`, the input of every entry.
        starts: int32 tensor `(outputs + 1,)`, where the entries of every
            output start.

    Returns:
        float32 tensor `(examples, outputs)`.
    """

    @tf.custom_gradient
    def product(x, values):
        y, turned = tf.numpy_function(
            _forward,
            [x, values, indices, starts],
            [tf.float32, tf.float32],
            stateful=False,
        )
        y.set_shape((x.shape[0], starts.shape[0] - 1))

        def gradient(dy):
            dx, dvalues = _gradients(dy, turned, values, indices, starts)
            dx.set_shape(x.shape)
            dvalues.set_shape(values.shape)
            return dx, dvalues

        return y, gradient

    return product(x, values)


@tf.custom_gradient
def _gradients(*tensors):
    results = tf.numpy_function(
        _backward, tensors, [tf.float32, tf.float32], stateful=False
    )

    def refuse(*gradients):
        # TensorFlow would treat them as constants.
        raise NotImplementedError(
            "Products on CSR kernels have no second derivatives. Train "
            "masked layers instead."
        )

    return results, refuse


def _forward(x, values, indices, starts):
    tile = tile_size(len(x))
    tiles = -(-len(x) // tile)
    y = aligned((len(x), len(starts) - 1))
    turned = aligned((tiles, x.shape[1], tile))
    indices = indices.view(np.uint32)
    edges = shares(tiles)

    def work(number):
        place = edges[number], edges[number + 1]
        compiled.forward(*place, x, y, turned, values, indices, starts)

    share(work, len(edges) - 1)
    return y, turned


def _backward(dy, turned, values, indices, starts):
    tiles, inputs, tile = turned.shape
    dx = aligned((len(dy), inputs))
    matrix = values, indices.view(np.uint32), starts
    edges = shares(tiles)
    parts = [aligned(indices.shape) for _ in edges[1:]]

    def work(number):
        place = edges[number], edges[number + 1]
        memory = turned, aligned((inputs, tile))
        compiled.backward(*place, dy, dx, parts[number], *memory, *matrix)

    share(work, len(parts))
    for other in parts[1:]:
        parts[0] += other
    return dx, parts[0]
