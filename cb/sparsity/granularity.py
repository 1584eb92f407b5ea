"""What an entry of a mask stands for: one weight or a cell of several.

Pure: shapes and NumPy arrays in, arrays out. A granularity is a tile, the
size of a cell along every axis of a kernel; an algorithm sees one number a
cell and its decisions are spread over the kernel again.
"""

import math

import numpy as np

from cb.errors import InputError
from cb.registry import Count
from cb.registry import Registry
from cb.registry import parse_spec

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


def tile(
    granularity: str,
    shape: Shape,
    spatial: int = 0,
    filters: Shape = (-1,),
) -> Shape:
    """Return the size of a cell along every axis of a kernel.

    Kernels without spatial axes know no rows, slices and filters: there
    each weight is a cell.

    Args:
        granularity: Spec: `"weight"`, `"row"` (along the last spatial axis),
            `"slice"` (all spatial axes), `"filter"` (all that makes one
            output channel), `"block(rows=4, columns=4)"` of the last two
            axes, or `"n_by_m(n=2, m=4, axis=-2)"`, weights of which `n` in
            every `m` along an axis are active.
        shape: Tuple, shape of the kernel.
        spatial: Integer, how many leading axes are spatial.
        filters: Tuple of axes that number the output channels.

    Returns:
        Tuple of the length of `shape`.

    Raises:
        InputError: If the spec is wrong.

    Reference:

    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """
    return REGISTRY.build(
        granularity,
        shape=tuple(shape),
        spatial=spatial,
        filters=tuple(filters),
    )


def pattern(granularity: str) -> tuple[int, int, int] | None:
    """Return `(n, m, axis)` of an N:M granularity, `None` of another."""
    if parse_spec(granularity).name != "n_by_m":
        return None
    tile(granularity, (1, 1))
    values = REGISTRY.complete(granularity).kwargs
    return values["n"], values["m"], values["axis"]


def cell_shape(shape: Shape, tile: Shape) -> Shape:
    """Return how many cells there are along every axis."""
    return tuple(
        -(-length // size) for length, size in zip(shape, tile, strict=True)
    )


def cell_means(values: np.ndarray, tile: Shape) -> np.ndarray:
    """Average the values in each cell; cells at the edge may be smaller.

    Args:
        values: Float array, e.g. magnitudes of a kernel.
        tile: Tuple, the size of a cell.

    Returns:
        Float array of the shape of the cells.
    """
    if math.prod(tile) == 1:
        return values
    return _cell_sums(values, tile) / _cell_sums(np.ones_like(values), tile)


def cell_scores(values: np.ndarray, tile: Shape) -> np.ndarray:
    """Return what an algorithm sees of a kernel or of its gradient.

    Args:
        values: Float array of the kernel's shape.
        tile: Tuple, the size of a cell.

    Returns:
        The values themselves if each weight is a cell, otherwise the mean
        magnitude in each cell.

    Reference:

    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """
    if math.prod(tile) == 1:
        return values
    return cell_means(np.abs(values), tile)


def first_of_cells(values: np.ndarray, tile: Shape) -> np.ndarray:
    """Return the value at the first corner of each cell."""
    return values[tuple(slice(None, None, size) for size in tile)]


def _cell_sums(values: np.ndarray, tile: Shape) -> np.ndarray:
    grid = cell_shape(values.shape, tile)
    missing = [
        (0, number * size - length)
        for number, size, length in zip(grid, tile, values.shape, strict=True)
    ]
    split = [side for pair in zip(grid, tile, strict=True) for side in pair]
    inside = tuple(range(1, 2 * len(tile), 2))
    return np.pad(values, missing).reshape(split).sum(axis=inside)


def spread(cells: np.ndarray, tile: Shape, shape: Shape) -> np.ndarray:
    """Give every weight the value of its cell.

    Args:
        cells: Array of the shape of the cells.
        tile: Tuple, the size of a cell.
        shape: Tuple, shape of the kernel.

    Returns:
        Array of shape `shape`.
    """
    for axis, size in enumerate(tile):
        if size > 1:
            cells = np.repeat(cells, size, axis=axis)
    return cells[tuple(slice(length) for length in shape)]


def keep_n_of_m(
    scores: np.ndarray, n: int, m: int, axis: int = -2
) -> np.ndarray:
    """Choose the `n` highest of every `m` neighbours along an axis.

    Args:
        scores: Float array; its length along `axis` is a multiple of `m`.
        n: Integer, how many to choose in every group.
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
    moved = np.moveaxis(scores, axis, -1)
    groups = moved.reshape(-1, m)
    order = np.argsort(-groups, axis=-1, kind="stable")
    chosen = np.zeros(groups.shape, bool)
    np.put_along_axis(chosen, order[:, :n], True, axis=-1)
    return np.moveaxis(chosen.reshape(moved.shape), -1, axis)


def divides(shape: Shape, m: int, axis: int) -> bool:
    """Tell whether groups of `m` fill an axis of a kernel."""
    return -len(shape) <= axis < len(shape) and shape[axis] % m == 0
