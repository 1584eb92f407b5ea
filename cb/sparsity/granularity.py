"""Granularities: the blocks of weights that an entry of a mask stands for.

Pure: shapes and NumPy arrays in, arrays out. A granularity decides the shape
of a block; an algorithm sees one number per block, and its decisions are
spread over the kernel again.
"""

import math

import numpy as np

from cb.errors import InputError
from cb.registry import Count
from cb.registry import Registry
from cb.registry import parse_spec
from cb.sparsity import masks

Shape = tuple[int, ...]

REGISTRY = Registry(
    "granularity", __name__, given=("shape", "spatial", "filters")
)


@REGISTRY.register("weight")
def _weight(shape: Shape, spatial: int, filters: Shape) -> Shape:
    return (1,) * len(shape)


@REGISTRY.register("row")
def _row(shape: Shape, spatial: int, filters: Shape) -> Shape:
    first = max(spatial - 1, 0)
    return (1,) * first + shape[first:spatial] + (1,) * len(shape[spatial:])


@REGISTRY.register("slice")
def _slice(shape: Shape, spatial: int, filters: Shape) -> Shape:
    return shape[:spatial] + (1,) * len(shape[spatial:])


@REGISTRY.register("filter")
def _filter(shape: Shape, spatial: int, filters: Shape) -> Shape:
    if not spatial:
        return (1,) * len(shape)
    kept = {axis % len(shape) for axis in filters}
    return tuple(
        1 if axis in kept else length for axis, length in enumerate(shape)
    )


@REGISTRY.register("block")
def _block(
    shape: Shape,
    spatial: int,
    filters: Shape,
    rows: Count = 4,
    columns: Count = 4,
) -> Shape:
    return (1,) * len(shape[:-2]) + (rows, columns)[-len(shape) :]


@REGISTRY.register("n_by_m")
def _n_by_m(
    shape: Shape,
    spatial: int,
    filters: Shape,
    n: Count = 2,
    m: Count = 4,
    axis: int = -2,
) -> Shape:
    if n > m:
        raise InputError(
            "Argument `n` of granularity `n_by_m` must be at most `m`. "
            f"Received: n={n}, m={m}"
        )
    return (1,) * len(shape)


def block_shape(
    granularity: str, shape: Shape, spatial: int = 0, filters: Shape = (-1,)
) -> Shape:
    """Return the size of a block along every axis of a kernel.

    Kernels without spatial axes have no rows, slices and filters: there
    each weight is a block.

    Args:
        granularity: Spec: `"weight"`, `"row"` (along the last spatial axis),
            `"slice"` (all spatial axes), `"filter"` (all weights of one
            output channel), `"block(rows=4, columns=4)"` of the last two
            axes, or `"n_by_m(n=2, m=4, axis=-2)"`, single weights of which
            `n` in every `m` along an axis are active.
        shape: Tuple, shape of the kernel.
        spatial: Integer, the number of leading axes that are spatial.
        filters: Tuple of axes that number the output channels.

    Returns:
        Tuple of the length of `shape`.

    Raises:
        InputError: If the spec is wrong.

    Reference:

    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """
    return REGISTRY.build(
        granularity, shape=tuple(shape), spatial=spatial, filters=tuple(filters)
    )


def pattern(granularity: str) -> tuple[int, int, int] | None:
    """Return `(n, m, axis)` of an N:M granularity, `None` for others."""
    if parse_spec(granularity).name != "n_by_m":
        return None
    block_shape(granularity, (1, 1))
    values = REGISTRY.complete(granularity).kwargs
    return values["n"], values["m"], values["axis"]


def grid_shape(shape: Shape, block: Shape) -> Shape:
    """Return the number of blocks along every axis."""
    return tuple(
        -(-length // size) for length, size in zip(shape, block, strict=True)
    )


def block_means(values: np.ndarray, block: Shape) -> np.ndarray:
    """Average the values of each block; blocks at the edge may be smaller.

    Args:
        values: Float array, e.g. magnitudes of a kernel.
        block: Tuple, the size of a block along every axis.

    Returns:
        Float array of the shape of the grid of blocks.
    """
    if math.prod(block) == 1:
        return values
    return _block_sums(values, block) / _block_sums(np.ones_like(values), block)


def block_scores(values: np.ndarray, block: Shape) -> np.ndarray:
    """Return the scores of blocks from the values of a kernel or gradient.

    Args:
        values: Float array of the kernel's shape.
        block: Tuple, the size of a block along every axis.

    Returns:
        The values themselves if each weight is a block, otherwise the mean
        magnitude of each block.

    Reference:

    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """
    if math.prod(block) == 1:
        return values
    return block_means(np.abs(values), block)


def first_of_blocks(values: np.ndarray, block: Shape) -> np.ndarray:
    """Return the value at the first corner of each block."""
    return values[tuple(slice(None, None, size) for size in block)]


def _block_sums(values: np.ndarray, block: Shape) -> np.ndarray:
    grid = grid_shape(values.shape, block)
    missing = [
        (0, number * size - length)
        for number, size, length in zip(grid, block, values.shape, strict=True)
    ]
    split = [side for pair in zip(grid, block, strict=True) for side in pair]
    inside = tuple(range(1, 2 * len(block), 2))
    return np.pad(values, missing).reshape(split).sum(axis=inside)


def spread(values: np.ndarray, block: Shape, shape: Shape) -> np.ndarray:
    """Give every weight the value of its block.

    Args:
        values: Array of the shape of the grid of blocks.
        block: Tuple, the size of a block along every axis.
        shape: Tuple, shape of the kernel.

    Returns:
        Array of shape `shape`.
    """
    for axis, size in enumerate(block):
        if size > 1:
            values = np.repeat(values, size, axis=axis)
    return values[tuple(slice(length) for length in shape)]


def keep_n_of_m(
    scores: np.ndarray, n: int, m: int, axis: int = -2
) -> np.ndarray:
    """Choose the `n` highest of every `m` neighbors along an axis.

    Args:
        scores: Float array; its length along `axis` is a multiple of `m`.
        n: Integer, the number to choose in every group.
        m: Integer, the size of a group.
        axis: Integer.

    Returns:
        Boolean array of the shape of `scores`. Ties go to the lower index.

    Raises:
        InputError: If the axis cannot be divided into groups.
    """
    if not divides(scores.shape, m, axis):
        raise InputError(
            f"Granularity `n_by_m` needs an axis {axis} whose length is a "
            f"multiple of m={m}. Received: shape={scores.shape}"
        )
    return masks.keep_top_of_groups(scores, n, m, axis)


def has_groups(mask: np.ndarray, n: int, m: int, axis: int) -> bool:
    """Tell whether at most `n` of every `m` neighbors are active.

    A mask that groups do not fill must be one of ones: its kernel is dense.

    Args:
        mask: Boolean array.
        n: Integer.
        m: Integer, the size of a group.
        axis: Integer, the axis of neighbors.
    """
    if not divides(mask.shape, m, axis):
        return bool(mask.all())
    groups = np.moveaxis(mask, axis, -1).reshape(-1, m)
    return bool((groups.sum(-1) <= n).all())


def divides(shape: Shape, m: int, axis: int) -> bool:
    """Tell whether groups of `m` fill an axis of a kernel."""
    return -len(shape) <= axis < len(shape) and shape[axis] % m == 0
