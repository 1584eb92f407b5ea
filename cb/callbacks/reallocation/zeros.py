"""Inactive weights that are exactly zero in every training step."""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras

from cb.layers.masked import Masked
from cb.layers.masked import MaskedKernel
from cb.layers.regularizers import OfActive
from cb.sparsity.reallocation.base import Algorithm


def zero_weights(
    kernels: Sequence[MaskedKernel],
    rules: Sequence[tuple],
    optimizer: keras.optimizers.Optimizer,
    algorithm: Algorithm,
) -> dict[Masked, tuple[str, ...]]:
    """Find the kernels whose inactive weights no training step changes.

    They are zero when a training begins and after every event. Optimizers
    and constraints of Keras keep a zero whose gradient and slots are zero;
    those of others may not, nor may a regularizer that sees all weights.

    Args:
        kernels: List of `MaskedKernel`.
        rules: List of tuples of the regularizer and the constraint of each.
        optimizer: Keras optimizer that trains them.
        algorithm: `Algorithm`.

    Returns:
        Dict of layer to the names of such kernels.
    """
    found: dict[Masked, tuple[str, ...]] = {}
    if not algorithm.zero_inactive:
        return found
    for kernel, (regularizer, constraint) in zip(kernels, rules, strict=True):
        # A constraint makes them zero after every step.
        stays = algorithm.straight_through or (
            algorithm.reset_momentum
            and all(_known(part) for part in _parts(optimizer))
            and (constraint is None or _known(constraint))
            and (regularizer is None or isinstance(regularizer, OfActive))
        )
        if stays and isinstance(kernel.layer, Masked):
            names = found.get(kernel.layer, ())
            found[kernel.layer] = (*names, kernel.weight_name)
    return found


def _parts(optimizer) -> Iterator[Any]:
    """Yield an optimizer and those that it is made of."""
    yield optimizer
    for name in ("inner_optimizer", "optimizer"):
        if hasattr(optimizer, name):
            yield from _parts(getattr(optimizer, name))
    for one in getattr(optimizer, "optimizers", ()):
        yield from _parts(one)


def _known(part) -> bool:
    return type(part).__module__.split(".")[0] in ("keras", "cb")
