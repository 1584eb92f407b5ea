"""The masked class of every Keras class that has one."""

from collections.abc import Callable
from collections.abc import Iterable
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
            the class. For a layer of your own, `cb.layers.maskable` is all.

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


def masked_class(kind: type) -> Any:
    """Return the masked class of a class of dense layers, or `None`.

    A subclass of a class that has one gets its own, which computes what the
    subclass computes. To read `.keras` files with it in another process, put
    `@cb.layers.maskable()` before the subclass.
    """
    found = MASKED_CLASSES.get(kind)
    if found is None and (base := masked_base(kind)):
        found = derive_masked((base, kind), base.families)
    return found


def masked_base(kind: type) -> Any:
    """Return the masked class of the first base that has one, or `None`."""
    # Layers of this package that derive from Keras's have kernels of their own.
    if hasattr(kind, "dense_class") or kind.__module__.startswith("cb."):
        return None
    bases = (MASKED_CLASSES.get(base) for base in kind.__mro__)
    return next((base for base in bases if base is not None), None)


def derive_masked(bases: tuple, families: Iterable[str], **attributes: Any):
    """Make and register the masked class of the last of some bases.

    Args:
        bases: Tuple of classes, the last the class of dense layers.
        families: Strings, as in `register_masked`.
        **attributes: Attributes of the class.
    """
    kind = bases[-1]
    attributes["__doc__"] = f"`{kind.__name__}` with masked kernels."
    attributes["__module__"] = kind.__module__
    made = type(f"Masked{kind.__name__}", bases, attributes)
    package = keras.saving.get_registered_name(kind).rpartition(">")[0]
    register = register_masked(
        kind, tuple(families), package or kind.__module__
    )
    return register(made)


def class_names(kind: type) -> set[str]:
    """Return the names that a sparsity map may use for layers of a class.

    Args:
        kind: Layer class, dense or masked.

    Returns:
        Set of the name of the dense class and of the families.
    """
    dense_class = getattr(kind, "dense_class", kind)
    masked = masked_class(dense_class)
    return {dense_class.__name__, *getattr(masked, "families", ())}
