"""Arrays that begin where vectors do."""

import math

import numpy as np

# Bytes. A vector across two cache lines takes twice as long.
LINE = 64


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Make an uninitialized float32 array that begins at a cache line."""
    size = math.prod(shape) * 4
    memory = np.empty(size + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    return memory[first : first + size].view(np.float32).reshape(shape)
