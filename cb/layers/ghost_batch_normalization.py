"""Batch normalization over virtual batches."""

import functools
import math

import keras
import tensorflow as tf
from keras import ops

from cb.errors import InputError
from cb.errors import argument_error
from cb.layers.attributes import AddedArguments
from cb.layers.ghosts import Remainder
from cb.layers.ghosts import RunningStatistics
from cb.layers.ghosts import fold_statistics
from cb.layers.ghosts import ghost_layout
from cb.registry import Count
from cb.registry import check_arguments


@keras.saving.register_keras_serializable("cb")
class GhostBatchNormalization(AddedArguments, keras.layers.BatchNormalization):
    """Batch normalization over virtual batches ("ghosts") of fixed size.

    In training the batch is cut, in order, into ghosts, and each is
    normalized by its own mean and variance, all in one pass. The gradients
    are those of running the ghosts one after the other through a model with
    ordinary batch normalization and accumulating. In inference the running
    statistics are used and the ghost size plays no part. A batch no larger
    than a ghost is ordinary batch normalization.

    With `r` the running value, `s_1 ... s_K` the statistics of the ghosts,
    `eta = 1 - momentum` and `c_i` the size of ghost `i` over the size of the
    first (1 under `torch_chunk`), the running statistics are updated by:

    - `"per_ghost"`: `r = (1 - eta * c_i) * r + eta * c_i * s_i` for each `i`
      in turn, in closed form, as in the published code.
    - `"per_step"`: `r = (1 - eta) * r + eta * mean(s)`, the mean weighted by
      `c`. Large batches then remember as long as small ones do.
    - `"paper"`: the printed formula, `r = (1 - eta)**size * r +
      sum((1 - eta)**i * eta * s_i)`, for means and standard deviations. Its
      weights do not sum to 1; for comparison only.

    `cb.callbacks.ReestimateStatistics` replaces them by averages over the
    training set. Under `tf.distribute` the ghosts are cut from the batch of
    each replica, and the running statistics are averaged over replicas.

    Args:
        virtual_batch_size: Integer, examples in a ghost.
        remainder: Treatment of examples that do not fill a ghost.
            `"fixed"`: they are a smaller ghost. `"torch_chunk"`: the number
            of ghosts is kept and their size shrinks or grows, as published;
            `cb.layers.ChunkedLoss` then gives them equal weights.
            `"drop"`: they are left out of all statistics and normalized by
            those of the last full ghost. `"error"`: they are refused.
        running_statistics: String, `"per_ghost"`, `"per_step"` or `"paper"`.
        unbiased_variance: Boolean, whether the running variance takes
            variances divided by `n - 1`, as PyTorch does, instead of `n`.
        batch_size: Integer, the batch from which `"torch_chunk"` takes the
            number of ghosts. Defaults to the batch at hand; the published
            code takes that of a full batch for the last one too.
        **kwargs: As in `keras.layers.BatchNormalization`, without `renorm`
            and `synchronized`.

    Call arguments:
        inputs: Tensor of shape `(batch, ...)`, of any rank.
        training: Boolean. Ghosts are used only when `True`.
        mask: Boolean tensor of the shape of `inputs` less the last axis;
            positions that are `False` are left out of the statistics.

    Input shape:
        Tensor of any rank; `axis` is not the first.

    Output shape:
        As the input.

    Raises:
        InputError: If an argument is wrong.

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)
    """

    added_arguments = (
        "virtual_batch_size",
        "remainder",
        "running_statistics",
        "unbiased_variance",
        "batch_size",
    )

    def __init__(
        self,
        virtual_batch_size: Count = 128,
        remainder: Remainder = "fixed",
        running_statistics: RunningStatistics = "per_ghost",
        unbiased_variance: bool = False,
        batch_size: Count | None = None,
        **kwargs,
    ):
        if kwargs.get("synchronized"):
            raise InputError(
                "Argument `synchronized` must be False: ghosts are smaller "
                "than the batch of a replica, so there is nothing to "
                "synchronize. Use `keras.layers.BatchNormalization` for "
                "statistics over all replicas. Received: synchronized=True"
            )
        if kwargs.get("renorm"):
            raise InputError(
                "Argument `renorm` must be False: batch renormalization "
                "pulls every ghost to the same statistics, which undoes the "
                "ghosts. Received: renorm=True"
            )
        super().__init__(**kwargs)
        self.virtual_batch_size = virtual_batch_size
        self.remainder = remainder
        self.running_statistics = running_statistics
        self.unbiased_variance = unbiased_variance
        self.batch_size = batch_size
        check_arguments(GhostBatchNormalization, **self.added_config())

    def build(self, input_shape):
        if self.axis % len(input_shape) == 0:
            raise argument_error("axis", "other than the batch axis", self.axis)
        super().build(input_shape)

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable):
            return super().call(inputs, training=False, mask=mask)
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        examples = ops.cast(inputs, dtype)
        length = ops.shape(examples)[0]
        if self.remainder == "error":
            length = self._divisible(length)
        rows, full, rest = ghost_layout(
            length, self.virtual_batch_size, self.remainder, self.batch_size
        )
        if mask is None and _is(full, 1) and _is(rest, 0):
            # Keras's own operations, so that one ghost is batch
            # normalization to the last bit.
            outputs, moments = self._normalize_batch(examples)
        else:
            outputs, moments = self._normalize_ghosts(
                examples, mask, rows, full, rest
            )
        shares = self._shares(rows, full, rest, dtype)
        self._update_statistics(*moments, shares, rows)
        return ops.cast(outputs, self.compute_dtype)

    def _divisible(self, length):
        size = self.virtual_batch_size
        message = (
            f"Layer {self.name!r} has remainder='error' and needs batches "
            f"that virtual_batch_size={size} divides. Received: a batch of "
        )
        if isinstance(length, int):
            if length % size:
                raise InputError(f"{message}{length}")
            return length
        check = tf.debugging.Assert(
            tf.equal(length % size, 0), [message, length]
        )
        with tf.control_dependencies([check]):
            return tf.identity(length)

    def _normalize_batch(self, examples):
        mean, variance = self._moments(examples, None)
        outputs = ops.batch_normalization(
            examples,
            mean,
            variance,
            self.axis,
            offset=self._parameter(self.beta, examples, (-1,)),
            scale=self._parameter(self.gamma, examples, (-1,)),
            epsilon=self.epsilon,
        )
        shape = ops.shape(examples)
        count = math.prod(shape[axis] for axis in self._reduction_axes)
        count = ops.reshape(ops.cast(count, examples.dtype), (1, 1))
        return outputs, (mean[None], variance[None], count)

    def _normalize_ghosts(self, examples, mask, rows, full, rest):
        if mask is not None:
            mask = ops.cast(ops.expand_dims(mask, -1), "bool")
        if _is(rest, 0):
            return self._normalize_equal(examples, mask, full, rows)
        # A split whose parts are joined again costs less than padding the
        # batch and masking what was added.
        sizes = [full * rows, rest]
        parts = tf.split(examples, sizes)
        masks = [None, None] if mask is None else tf.split(mask, sizes)
        outputs, moments = self._normalize_equal(parts[0], masks[0], full, rows)
        last = None
        if self.remainder == "drop":
            # A sum, which is there too where there is no whole ghost.
            last = [
                ops.sum(value[-1:], axis=0, keepdims=True)
                for value in moments[:2]
            ]
        smaller, of_rest = self._normalize_equal(
            parts[1], masks[1], 1, rest, last
        )
        return ops.concatenate([outputs, smaller]), [
            ops.concatenate(pair) for pair in zip(moments, of_rest, strict=True)
        ]

    def _normalize_equal(self, examples, mask, number, rows, given=None):
        """Normalize ghosts of one size, by their own moments or `given`."""
        shape = ops.shape(examples)
        channel = self.axis % len(shape)
        inner, place = [rows, *shape[1:]], channel + 1
        if mask is None:
            # Compiled reductions are faster over fewer dimensions, and much
            # slower where the last has a size of one.
            inner = [rows * math.prod(shape[1:channel]), shape[channel]]
            if channel + 1 < len(shape):
                inner.append(math.prod(shape[channel + 1 :]))
            place = 2
        # A compiled function cannot check that the size divides the batch,
        # but shows the scope's name when the reshape fails.
        scope = f"virtual_batch_size_{self.virtual_batch_size}_must_divide"
        with tf.name_scope(scope):
            ghosts = ops.reshape(examples, (number, *inner))
        if mask is not None:
            held = ops.shape(mask)
            mask = ops.reshape(mask, (number, rows, *held[1:]))
        axes = [axis for axis in range(1, len(inner) + 1) if axis != place]
        moments = _moments(ghosts, mask, axes)
        across = [1] * (len(inner) + 1)
        across[place] = -1
        used = moments[:2]
        if given is not None:
            used = [ops.reshape(value, across) for value in given]
        outputs = tf.nn.batch_normalization(
            ghosts,
            *used,
            self._parameter(self.beta, examples, across),
            self._parameter(self.gamma, examples, across),
            self.epsilon,
        )
        flat = [
            ops.reshape(value, (number, examples.shape[channel]))
            for value in moments
        ]
        return ops.reshape(outputs, shape), flat

    def _parameter(self, variable, examples, shape):
        if variable is None:
            return None
        return ops.reshape(ops.cast(variable, examples.dtype), shape)

    def _shares(self, rows, full, rest, dtype):
        """Return how much of an update each ghost counts, `(ghosts, 1)`."""
        shares = ops.ones((full, 1), dtype)
        if _is(rest, 0):
            return shares
        share = ops.cast(rest, dtype) / ops.cast(rows, dtype)
        if self.remainder == "torch_chunk":
            share = ops.cast(share > 0, dtype)
        elif self.remainder == "drop":
            share = ops.zeros((), dtype)
        return ops.concatenate([shares, ops.reshape(share, (1, 1))])

    def _update_statistics(self, mean, variance, count, shares, rows):
        shares = ops.where(count > 0, shares, 0)
        if self.unbiased_variance:
            variance = variance * (count / ops.maximum(count - 1, 1))
        fold = functools.partial(
            fold_statistics,
            shares=shares,
            rows=rows,
            momentum=self.momentum,
            mode=self.running_statistics,
        )
        running_mean = ops.cast(self.moving_mean, mean.dtype)
        running_variance = ops.cast(self.moving_variance, mean.dtype)
        if self.running_statistics == "paper":
            deviation = fold(
                ops.sqrt(running_variance + self.epsilon),
                ops.sqrt(variance + self.epsilon),
            )
            running_variance = ops.maximum(
                ops.square(deviation) - self.epsilon, 0
            )
        else:
            running_variance = fold(running_variance, variance)
        running_mean, running_variance = _replica_mean(
            [fold(running_mean, mean), running_variance]
        )
        self.moving_mean.assign(running_mean)
        self.moving_variance.assign(running_variance)


def _moments(ghosts, mask, axes):
    """Return mean, biased variance and count of each ghost, dims kept."""
    shape = ops.shape(ghosts)
    if mask is None:
        count = ops.cast(math.prod(shape[axis] for axis in axes), ghosts.dtype)
    else:
        held = ops.shape(mask)
        repeats = math.prod(shape[axis] // held[axis] for axis in axes)
        count = ops.sum(ops.cast(mask, ghosts.dtype), axes, keepdims=True)
        count = count * ops.cast(repeats, ghosts.dtype)

    def real(values):
        if mask is None:
            return values
        return ops.where(mask, values, ops.zeros((), count.dtype))

    # There may be nothing in a ghost.
    divisor = ops.maximum(count, 1)
    mean = ops.sum(real(ghosts), axes, keepdims=True) / divisor
    # Deviations from the mean sum to zero, and so does that gradient.
    centre = ops.stop_gradient(mean)
    squares = real(tf.math.squared_difference(ghosts, centre))
    variance = ops.sum(squares, axes, keepdims=True) / divisor
    return mean, variance, count * ops.ones_like(mean)


def _replica_mean(values):
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, values)


def _is(size, number):
    """Compare sizes; one that is not known when tracing equals nothing."""
    return isinstance(size, int) and size == number
