"""Penalties and constraints that an algorithm adds to training steps."""

from keras import ops

from cb.layers.masked import MaskedKernel
from cb.sparsity.reallocation.base import WeightPenalty


def replaced(function):
    """Return what one of the functions below stands in for, or the same."""
    return getattr(function, "replaced", function)


def masked(kernel: MaskedKernel):
    """Return a constraint that makes inactive weights zero, after its own."""
    before = kernel.weight.constraint or (lambda weight: weight)

    def constraint(weight):
        weight = ops.convert_to_tensor(before(weight))
        return ops.where(kernel.mask != 0, weight, ops.zeros_like(weight))

    vars(constraint)["replaced"] = kernel.weight.constraint
    return constraint


def penalized(kernel: MaskedKernel, penalty: WeightPenalty):
    """Return a regularizer that adds a penalty to that of a kernel."""
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
            trains = 1.0 - mask
            if name in layer.backward_masks:
                trains *= ops.cast(layer.backward_masks[name], weight.dtype)
            factors = penalty.inactive * trains
            if penalty.active:
                factors = penalty.active * mask + factors
            loss += 0.5 * ops.sum(factors * ops.square(weight))
        if penalty.absolute:
            size = ops.abs(weight)
            size = size if name in layer.zeroed else mask * size
            loss += penalty.absolute * ops.sum(size)
        return loss

    vars(regularizer)["replaced"] = kernel.trained.regularizer
    return regularizer
