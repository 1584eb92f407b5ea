"""Shares out connections among kernels."""

import fnmatch
import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from cb.errors import InputError
from cb.registry import unknown
from cb.sparsity import distributions
from cb.sparsity.granularity import grid_shape


class Kernel(NamedTuple):
    """Description of a kernel to be masked.

    Attributes:
        key: String, its stable key.
        names: Set of names that a pattern can match: those of its layer and
            of the layer around it, class and families.
        name: String for messages.
        shape: Tuple.
        block: Tuple, shape of the blocks that its mask switches.
    """

    key: str
    names: frozenset[str]
    name: str
    shape: tuple[int, ...]
    block: tuple[int, ...]


def _down(share: float, size: int) -> int:
    # As published, with its guard against 0.0999999.
    return math.floor(share * size + 0.1)


def _up(share: float, size: int) -> int:
    # The product is rounded to undo binary error, unlike int(q * n).
    return size - math.floor(round((1.0 - share) * size, 9))


def _nearest(share: float, size: int) -> int:
    return max(1, round(round(share * size, 9)))


ROUNDINGS = {"down": _down, "nearest": _nearest, "up": _up}


def target_counts(
    kernels: Sequence[Kernel],
    sparsity: float | dict[str, float],
    distribution: str,
    rounding: str,
) -> dict[str, int]:
    """Decide the number of active blocks of every kernel.

    Args:
        kernels: List of `Kernel`.
        sparsity: Float for all together, or dict of pattern to float, each
            for every kernel that the pattern is the first to match.
        distribution: Spec of a distribution, for a float.
        rounding: `"total"`, the total is exact to one connection, or where
            there are blocks to one in each kernel, which keeps at least one;
            or how each kernel's count is rounded by itself: `"down"`,
            `"nearest"` or `"up"`.

    Returns:
        Dict of key to integer; kernels that no pattern matches have none.

    Raises:
        InputError: If a pattern matches nothing or a kernel would be empty.
    """
    if isinstance(sparsity, Mapping):
        if rounding == "total":
            rounding = "nearest"
        shares = _matched(kernels, sparsity)
    elif rounding == "total":
        return _shared_out(kernels, sparsity, distribution)
    else:
        shapes = {kernel.key: kernel.shape for kernel in kernels}
        shares = distributions.REGISTRY.build(
            distribution, shapes=shapes, density=1.0 - sparsity
        )
    if rounding not in ROUNDINGS:
        raise unknown("rounding", rounding, ["total", *ROUNDINGS])
    return {
        kernel.key: _check(
            kernel, ROUNDINGS[rounding](shares[kernel.key], _blocks(kernel))
        )
        for kernel in kernels
        if kernel.key in shares
    }


def _matched(kernels, sparsity) -> dict[str, float]:
    shares: dict[str, float] = {}
    for pattern, value in sparsity.items():
        matching = [
            kernel
            for kernel in kernels
            if fnmatch.filter(kernel.names, pattern)
        ]
        if not matching:
            raise InputError(
                "Argument `sparsity` holds a pattern that matches no layer. "
                "Expected a pattern for one of "
                f"{sorted(set().union(*(k.names for k in kernels)))}. "
                f"Received: {pattern!r}"
            )
        for kernel in matching:
            shares.setdefault(kernel.key, 1.0 - value)
    return shares


def _shared_out(kernels, sparsity, distribution) -> dict[str, int]:
    counts = distributions.connection_counts(
        {kernel.key: kernel.shape for kernel in kernels},
        sparsity,
        distribution,
        names={kernel.key: kernel.name for kernel in kernels},
    )
    return {
        kernel.key: max(
            1,
            round(
                counts[kernel.key] * _blocks(kernel) / math.prod(kernel.shape)
            ),
        )
        for kernel in kernels
    }


def _blocks(kernel: Kernel) -> int:
    return math.prod(grid_shape(kernel.shape, kernel.block))


def _check(kernel: Kernel, count: int) -> int:
    if count < 1:
        raise InputError(
            f"Argument `sparsity` would empty layer {kernel.name!r} of "
            f"{math.prod(kernel.shape)} weights. Expected at least one "
            "connection in every layer."
        )
    return count
