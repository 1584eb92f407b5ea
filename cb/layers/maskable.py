"""The decorator that lets masks be added to a layer class of one's own."""

import functools
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from cb.errors import InputError
from cb.layers.masked import Masked
from cb.layers.registration import Class
from cb.layers.registration import derive_masked
from cb.layers.registration import masked_base
from cb.layers.registration import masked_class


def maskable(
    *weights: str,
    family: str | tuple[str, ...] = (),
    spatial_axes: Mapping[str, int] | None = None,
    filter_axes: tuple[int, ...] | None = None,
) -> Callable[[Class], Class]:
    """Let `cb.sparsify` mask a layer class of your own.

    A subclass of a Keras layer that can be masked takes from it what is not
    given.

    Args:
        *weights: Strings, attributes that hold the kernels to mask, which
            `call` reads by these names.
        family: As in `cb.layers.register_masked`; only beside `weights`.
        spatial_axes: Dict of a kernel of more than two axes to how many of
            them, the first ones, are spatial. Needed for granularities
            `"row"`, `"slice"` and `"filter"`; only beside `weights`.
        filter_axes: Tuple of the axes that number output channels, the last
            one by default; only beside `weights`.

    Returns:
        A decorator that registers a masked class and returns the class as it
        is.

    Raises:
        InputError: If no weights are named for a class of its own kind, or
            beside other arguments.

    Example:

    >>> @cb.layers.maskable("kernel", family="dense")
    ... class Projection(keras.layers.Layer):
    ...     def build(self, shape):
    ...         self.kernel = self.add_weight(shape=(shape[-1], 4))
    ...
    ...     def call(self, inputs):
    ...         return inputs @ self.kernel
    """

    def decorator(kind):
        others = family or spatial_axes or filter_axes
        if weights:
            known = masked_base(kind)
            base: Any = known if known and issubclass(known, Masked) else Masked
            families = (family,) if isinstance(family, str) else family
            derive_masked(
                (base, kind),
                families or getattr(base, "families", ()),
                **({"build": _building(kind)} if base is Masked else {}),
                masked_weights=weights,
                spatial_axes={**base.spatial_axes, **(spatial_axes or {})},
                filter_axes=filter_axes or base.filter_axes,
            )
        elif others or masked_class(kind) is None:
            raise InputError(
                f"Decorator `maskable` of {kind.__name__} needs the names of "
                "its kernels, as in `@cb.layers.maskable('kernel')`."
            )
        return kind

    return decorator


def _building(kind) -> Callable:
    """Return the `build` of a class of one's own, which adds masks then.

    Keras records its signature.
    """

    @functools.wraps(kind.build)
    def build(self, *args, **kwargs):
        kind.build(self, *args, **kwargs)
        self.add_masks()

    return build
