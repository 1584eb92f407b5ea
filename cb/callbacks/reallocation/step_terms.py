"""Penalties and constraints that an algorithm adds to training steps."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator

import keras
import tensorflow as tf
from keras import ops

from cb.layers.masked import MaskedKernel
from cb.sparsity.reallocation.base import WeightPenalty


@contextlib.contextmanager
def ruled(
    name: str, rules: Iterable[tuple[keras.Variable, Callable]]
) -> Iterator[None]:
    """Give variables a regularizer or constraint, and their own at the end.

    Args:
        name: String, `"regularizer"` or `"constraint"`.
        rules: Iterable of tuples of a variable and its rule.
    """
    before = []
    for variable, rule in rules:
        before.append((variable, getattr(variable, name)))
        setattr(variable, name, rule)
    try:
        yield
    finally:
        for variable, rule in before:
            setattr(variable, name, rule)


def masked(kernel: MaskedKernel):
    """Return a constraint that makes inactive weights zero, after its own."""
    before = kernel.trained.constraint or (lambda weight: weight)

    def constraint(weight):
        weight = ops.convert_to_tensor(before(weight))
        return ops.where(kernel.mask != 0, weight, ops.zeros_like(weight))

    return constraint


def penalized(kernel: MaskedKernel, penalty: WeightPenalty, fused: bool):
    """Return a regularizer that adds a penalty to that of a kernel.

    Args:
        kernel: `MaskedKernel`.
        penalty: `WeightPenalty`.
        fused: Boolean, whether it may be computed by operations without
            second derivatives, which only graphs on processors run.
    """
    before = kernel.trained.regularizer or (lambda weight: 0.0)

    def regularizer(weight):
        layer, name = kernel.layer, kernel.weight_name
        loss = ops.cast(before(weight), "float32")
        # Sums in float16 are coarse, and Keras adds them to a float32 loss.
        weight = ops.cast(weight, "float32")
        if kernel.trained is not kernel.weight:
            # On CSR kernels, all that is stored is active.
            loss += 0.5 * penalty.active * ops.sum(ops.square(weight))
            return loss + penalty.absolute * ops.sum(ops.abs(weight))
        mask = ops.cast(kernel.mask, "float32")
        if penalty.active or penalty.inactive:
            trains = layer.backward_masks.get(name)
            if trains is not None:
                trains = ops.cast(trains, "float32")
            squares = _fused_squares if fused else _squares
            loss += squares(weight, mask, trains, penalty)
        if penalty.absolute:
            size = ops.abs(weight)
            size = size if name in layer.zeroed else mask * size
            loss += penalty.absolute * ops.sum(size)
        return loss

    return regularizer


def _squares(weight, mask, trains, penalty):
    """Return half the sum of squares, each with the factor of its weight."""
    inactive = 1.0 - mask
    if trains is not None:
        inactive *= trains
    factors = penalty.inactive * inactive
    if penalty.active:
        factors = penalty.active * mask + factors
    return 0.5 * ops.sum(factors * ops.square(weight))


def _fused_squares(weight, mask, trains, penalty):
    """Return the same to the same bits, in fewer passes over memory."""
    # Numba is imported where there is something for it to do.
    from cb.kernels.operations import run

    weight, *others = (
        tf.convert_to_tensor(ops.convert_to_tensor(one))
        for one in (weight, mask, tf.zeros(0) if trains is None else trains)
    )
    others = [tf.reshape(one, [-1]) for one in others]
    others.append(tf.constant([penalty.active, penalty.inactive], tf.float32))

    @tf.custom_gradient
    def half_sum(weight):
        given = [tf.reshape(weight, [-1]), *others]
        (squares,) = run("CbPenalty", given)

        def gradient(upstream):
            half = tf.reshape(0.5 * upstream, [1])
            (found,) = run("CbPenaltyGradients", [*given, half])
            return tf.reshape(found, weight.shape)

        return 0.5 * tf.reduce_sum(tf.reshape(squares, weight.shape)), gradient

    return half_sum(weight)
