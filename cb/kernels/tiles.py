"""Tiles of examples: a few at a time, with the examples as the last axis.

Each weight that is read is then multiplied with all examples of a tile by
vector operations.
"""

import math

import numpy as np

from cb.kernels.threads import threads

# Examples in a tile: from one vector of 512 bits to as many as keep the inputs
# of a wide layer in the L2 cache.
TILES = (16, 32, 64)
# Bytes. A vector across two cache lines takes twice as long, and TensorFlow
# takes over arrays without a copy if they begin at one.
LINE = 64


def tile_size(examples: int) -> int:
    """Return the smallest tile size that leaves each thread at most one tile.

    Args:
        examples: Integer, to be shared out.

    Returns:
        Integer, one of `TILES`, the largest if none will do.
    """
    wanted = -(-examples // threads())
    return next((size for size in TILES if size >= wanted), TILES[-1])


def shares(tiles: int) -> list[int]:
    """Return the first tile of each thread, and the end.

    Args:
        tiles: Integer.

    Returns:
        List of ascending integers from 0 to `tiles`, one more than there are
        threads with something to do, or than one.
    """
    number = max(1, min(threads(), tiles))
    return [tiles * share // number for share in range(number + 1)]


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Make an uninitialized float32 array that begins at a cache line."""
    size = math.prod(shape) * 4
    memory = np.empty(size + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    return memory[first : first + size].view(np.float32).reshape(shape)
