"""Division of batches into ghosts, and the running statistics of ghosts."""

from typing import Literal

import tensorflow as tf
from keras import ops

Remainder = Literal["fixed", "torch_chunk", "drop", "error"]
RunningStatistics = Literal["per_ghost", "per_step", "paper"]


def ghost_layout(length, virtual_batch_size, remainder, batch_size=None):
    """Divide a batch into ghosts.

    Args:
        length: Integer or scalar tensor, examples in the batch.
        virtual_batch_size: Integer, the wanted size of a ghost.
        remainder: `Remainder`.
        batch_size: Integer, the configured batch, or `None` for the batch
            at hand.

    Returns:
        Tuple of the examples in a full ghost, the number of full ghosts, and
        the examples left for a smaller one.
    """
    rows = virtual_batch_size
    if remainder == "torch_chunk":
        pieces = _maximum((batch_size or length) // virtual_batch_size, 1)
        rows = -(-length // pieces)
    elif remainder != "error":
        rows = _minimum(length, virtual_batch_size)
    rows = _maximum(rows, 1)
    full = length // rows
    return rows, full, 0 if remainder == "error" else length - full * rows


def fold_statistics(running, ghosts, shares, rows, momentum, mode):
    """Update a running statistic by those of the ghosts of one batch.

    Args:
        running: Tensor `(channels,)`.
        ghosts: Tensor `(ghosts, channels)`, in the order of the batch.
        shares: Tensor `(ghosts, 1)` or `(ghosts, channels)` in [0, 1], the
            weight of each ghost in an update.
        rows: Integer or scalar tensor, examples in a full ghost.
        momentum: Float, weight of `running` after a whole update.
        mode: `RunningStatistics`.

    Returns:
        Tensor `(channels,)`.
    """
    step = 1.0 - momentum
    if mode == "paper":
        order = ops.arange(1, ops.shape(ghosts)[0] + 1, dtype=ghosts.dtype)
        weights = ops.expand_dims(ops.power(momentum, order), 1) * step * shares
        kept = ops.power(momentum, ops.cast(rows, ghosts.dtype))
    elif mode == "per_step":
        weights = tf.math.divide_no_nan(
            shares, ops.sum(shares, 0, keepdims=True)
        )
        # Written so that a full update keeps `momentum` to the last bit.
        kept = momentum + step * (1.0 - ops.sum(weights, 0))
        weights = step * weights
    else:
        decays = momentum + step * (1.0 - shares)
        later = tf.math.cumprod(decays, exclusive=True, reverse=True)
        weights = step * shares * later
        kept = ops.prod(decays, axis=0)
    return running * kept + ops.sum(weights * ghosts, axis=0)


def _minimum(a, b):
    return min(a, b) if isinstance(a, int) else ops.minimum(a, b)


def _maximum(a, b):
    return max(a, b) if isinstance(a, int) else ops.maximum(a, b)
