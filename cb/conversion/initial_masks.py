"""The masks that a sparse model starts with: drawn, or read from weights."""

import warnings
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Literal

import numpy as np

from cb import seeds
from cb.conversion.targets import Kernel
from cb.errors import InputError
from cb.sparsity import masks
from cb.sparsity.granularity import block_means
from cb.sparsity.granularity import grid_shape
from cb.sparsity.granularity import keep_n_of_m
from cb.sparsity.granularity import spread

Masks = Literal["random", "magnitude", "nonzero"]
Pattern = tuple[int, int, int] | None


def drawn(
    kernel: Kernel, count: int, pattern: Pattern, seed: int
) -> np.ndarray:
    """Draw a mask at random.

    Args:
        kernel: `Kernel`.
        count: Integer, the number of active blocks.
        pattern: Tuple `(n, m, axis)` for `n` active weights in every `m`
            along an axis, whatever `count` is; or `None`.
        seed: Integer.

    Returns:
        Boolean array of the kernel's shape.
    """
    random = seeds.generator(seed, "initial mask", kernel.key)
    if pattern:
        return keep_n_of_m(random.random(kernel.shape), *pattern)
    grid = grid_shape(kernel.shape, kernel.block)
    chosen = masks.choose(np.ones(grid, bool), count, random)
    return spread(chosen, kernel.block, kernel.shape)


def largest(
    kernel: Kernel, values: np.ndarray, count: int, pattern: Pattern
) -> np.ndarray:
    """Keep the weights, or blocks, of the largest mean magnitude.

    Args:
        kernel: `Kernel`.
        values: Float array, the kernel's weights.
        count: Integer, as in `drawn`.
        pattern: Tuple or `None`, as in `drawn`.

    Returns:
        Boolean array of the kernel's shape.
    """
    magnitudes = np.abs(values)
    if pattern:
        return keep_n_of_m(magnitudes, *pattern)
    scores = block_means(magnitudes, kernel.block)
    return spread(masks.keep_top(scores, count), kernel.block, kernel.shape)


def nonzero(
    kernels: Sequence[Kernel],
    values: Mapping[str, np.ndarray],
    pattern: Pattern,
) -> dict[str, np.ndarray]:
    """Read masks from the zeros of weights.

    Args:
        kernels: List of `Kernel`.
        values: Dict of key to float array, the kernels' weights.
        pattern: Tuple or `None`, as in `drawn`.

    Returns:
        Dict of key to boolean array of the kernel's shape. Kernels without
        zeros have full masks, and are named in a warning.

    Raises:
        InputError: If no kernel has zeros, one has nothing else, or the zeros
            do not fit the granularity.
    """
    found = {kernel.key: values[kernel.key] != 0 for kernel in kernels}
    empty = [k.name for k in kernels if not found[k.key].any()]
    full = [k.name for k in kernels if found[k.key].all()]
    if empty:
        raise InputError(
            "Argument `masks='nonzero'` needs kernels with weights that are "
            "not zero, since nothing is learned through empty ones. Expected "
            f"to `exclude` the others. Received: only zeros in {empty}"
        )
    if len(full) == len(kernels):
        raise InputError(
            "Argument `masks='nonzero'` needs a model that was pruned or "
            "stripped. For a dense one use `masks='magnitude'` with a "
            f"`sparsity`. Received: no zeros in any of {full}"
        )
    unfit = [k.name for k in kernels if not _fits(k, found[k.key], pattern)]
    if unfit:
        raise InputError(
            "Argument `granularity` must be one that the zeros of the model "
            "fit, such as 'weight'. Received: zeros that do not fit in "
            f"{unfit}"
        )
    if full:
        warnings.warn(
            "Kernels without zeros, whose masks start full: "
            f"{', '.join(full)}. To keep them dense, `exclude` them.",
            stacklevel=5,
        )
    return found


def _fits(kernel: Kernel, mask: np.ndarray, pattern: Pattern) -> bool:
    if pattern:
        n, _, _ = pattern
        scores = mask.astype(np.float32)
        return np.array_equal(keep_n_of_m(scores, *pattern), mask) and (
            np.count_nonzero(mask) * pattern[1] == n * mask.size
        )
    whole = block_means(mask.astype(np.float32), kernel.block) > 0
    return np.array_equal(spread(whole, kernel.block, kernel.shape), mask)
