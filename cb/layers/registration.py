"""The masked class of every Keras class that has one."""

from collections.abc import Callable
from typing import Any
from typing import TypeVar

import keras

Class = TypeVar("Class", bound=type)

# From a class of dense layers to its masked class.
MASKED_CLASSES: dict[type, Any] = {}


def register_masked(
    dense_class: type[keras.layers.Layer],
    family: str | tuple[str, ...] = (),
    package: str = "cb",
) -> Callable[[Class], Class]:
    """Make a class the masked form of a Keras class.

    From then on `cb.sparsify` puts it in the place of layers of that class,
    `cb.strip` puts these back, and Keras can save and load it.

    Args:
        dense_class: Keras layer class, or one of your own.
        family: String or tuple of strings, families that the layers belong
            to: names that `sparsity="conv=0.5"` may use.
        package: String, the package in the name that `.keras` files have for
            the class.

    Returns:
        A decorator of a class that derives from `cb.layers.Masked` and from
        `dense_class`, in this order.

    Example:

    >>> @cb.layers.register_masked(keras.layers.Conv1DTranspose, family="conv")
    ... class MaskedConv1DTranspose(
    ...     cb.layers.Masked, keras.layers.Conv1DTranspose
    ... ):
    ...     spatial_axes = {"kernel": 1}
    ...     filter_axes = (-2,)
    """
    families = (family,) if isinstance(family, str) else tuple(family)

    def decorator(masked_class):
        masked_class.dense_class = dense_class
        masked_class.families = frozenset(families)
        MASKED_CLASSES[dense_class] = masked_class
        register = keras.saving.register_keras_serializable(package)
        return register(masked_class)

    return decorator


def class_names(kind: type) -> set[str]:
    """Return the names that a sparsity map may use for layers of a class.

    Args:
        kind: Layer class, dense or masked.

    Returns:
        Set of the name of the dense class and of the families.
    """
    dense_class = getattr(kind, "dense_class", kind)
    masked_class = MASKED_CLASSES.get(dense_class)
    return {dense_class.__name__, *getattr(masked_class, "families", ())}
