"""Masks as algorithms see them."""

import numpy as np

from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import MaskedKernel
from cb.sparsity import granularity


def blocks_of(kernel: MaskedKernel, block: tuple[int, ...]) -> np.ndarray:
    """Read the mask of a kernel.

    Args:
        kernel: `MaskedKernel`.
        block: Tuple, the shape of its blocks.

    Returns:
        Boolean array, which of its blocks are active.

    Raises:
        InputError: If it is not one of ones and zeros, or not one of blocks or
            groups where its granularity has them.
    """
    value, spec = read(kernel.mask), kernel.layer.granularity
    mask = value != 0
    if not np.array_equal(value, mask):
        raise InputError(
            f"The mask of kernel {kernel.name!r} must hold only 0 and "
            f"1. Received: {np.unique(value)[:4].tolist()}. Weights "
            "of a sparse model can be averaged only under one mask."
        )
    blocks = granularity.first_of_blocks(mask, block)
    if not np.array_equal(mask, granularity.spread(blocks, block, mask.shape)):
        raise InputError(
            f"The mask of kernel {kernel.name!r} must be one of whole "
            f"blocks of shape {block}, as its granularity {spec!r} says."
        )
    groups = granularity.pattern(spec)
    if groups and not granularity.has_groups(mask, *groups):
        n, m, _ = groups
        raise InputError(
            f"The mask of kernel {kernel.name!r} must have at most {n} active "
            f"weights of every {m}, as its granularity {spec!r} says."
        )
    return blocks
