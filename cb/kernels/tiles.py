"""Tiles of examples: some of them at a time, the examples as the last axis.

Every weight that is read then serves all examples of a tile by vector
operations.
"""

import math

import numpy as np

from cb.kernels.threads import threads

# How many examples a tile can hold: from a vector of 512 bits to as many as
# leave the inputs of a wide layer in the second cache.
TILES = (16, 32, 64)
# Bytes. A vector that lies in two lines of the cache takes twice as long, and
# TensorFlow takes over without a copy what begins with one.
LINE = 64


def tile_size(examples: int) -> int:
    """Return the least size of a tile that gives each thread at most one.

    Args:
        examples: Integer, to be shared out.

    Returns:
        Integer, one of `TILES`, the largest if none will do.
    """
    wanted = -(-examples // threads())
    return next((size for size in TILES if size >= wanted), TILES[-1])


def shares(tiles: int) -> list[int]:
    """Return where the tiles of each thread begin, and the end.

    Args:
        tiles: Integer.

    Returns:
        List of ascending integers from 0 to `tiles`, one more than there are
        threads with something to do, or than one.
    """
    number = max(1, min(threads(), tiles))
    return [tiles * share // number for share in range(number + 1)]


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Make a float32 array of any content that begins with a cache line."""
    size = math.prod(shape) * 4
    memory = np.empty(size + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    return memory[first : first + size].view(np.float32).reshape(shape)
