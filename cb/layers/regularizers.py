"""Regularizers of kernels, chosen by name."""

import keras
from keras import ops

from cb.registry import NotNegative
from cb.registry import Registry

SMALLEST = 1e-12


@keras.saving.register_keras_serializable("cb")
class GroupLasso(keras.regularizers.Regularizer):
    """Sums the lengths of the kernel slices of a convolution.

    A slice connects one input channel with one output channel. For a dense
    kernel it is one weight, and this is the L1 penalty.

    Args:
        strength: Float, factor of the sum.

    Reference:

    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    def __init__(self, strength: NotNegative = 1e-5):
        self.strength = strength

    def __call__(self, x):
        if len(x.shape) <= 2:
            return self.strength * ops.sum(ops.abs(x))
        spatial = tuple(range(len(x.shape) - 2))
        squares = ops.sum(ops.square(x), axis=spatial)
        # The square root has no gradient at zero.
        return self.strength * ops.sum(ops.sqrt(squares + SMALLEST))

    def get_config(self):
        return {"strength": self.strength}


class OfActive(keras.regularizers.Regularizer):
    """A regularizer that sees only active weights.

    Args:
        regularizer: Keras regularizer.
        mask: Variable, 1 where a weight is active.
    """

    def __init__(self, regularizer, mask):
        self.regularizer = regularizer
        self.mask = mask

    def __call__(self, x):
        return self.regularizer(ops.multiply(x, ops.cast(self.mask, x.dtype)))


REGISTRY = Registry(
    "regularization",
    __name__,
    elsewhere={
        "l1": "keras.regularizers:L1",
        "l2": "keras.regularizers:L2",
        "l1_l2": "keras.regularizers:L1L2",
        "group_lasso": "cb.layers.regularizers:GroupLasso",
    },
    library={"l1": NotNegative, "l2": NotNegative},
)


@REGISTRY.register("none")
def none() -> None:
    """Leave the regularizers that the layers have."""


def get(spec: str) -> keras.regularizers.Regularizer | None:
    """Make a regularizer.

    Args:
        spec: Spec string such as `"l1(1e-5)"`.

    Returns:
        A Keras regularizer, or `None` for `"none"`.

    Raises:
        InputError: If the spec is wrong.
    """
    return REGISTRY.build(spec)
