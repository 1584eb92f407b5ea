"""What kernels that Numba compiles have in common.

Numba's cache does not look into other files for what a function calls: after
a change here, those that call it are compiled anew when their cache is gone.
"""

import numba

# What is computed is not reordered for NaN and infinity to get lost.
RELAXED = {"reassoc", "contract", "nsz"}
# Columns that are turned at a time: with a tile of examples they stay in the
# first cache.
_BLOCK = 64


@numba.njit(nogil=True, cache=True)
def turn(rows, columns):
    """Copy `rows[i, j]` to `columns[j, i]`, part by part of the cache.

    Args:
        rows: Array `(examples, features)`.
        columns: Array that may have more rows and columns than are filled.
    """
    for first in range(0, rows.shape[1], _BLOCK):
        last = min(first + _BLOCK, rows.shape[1])
        for i in range(rows.shape[0]):
            for j in range(first, last):
                columns[j, i] = rows[i, j]


@numba.njit(nogil=True, cache=True)
def turn_back(columns, rows):
    """Copy `columns[j, i]` to `rows[i, j]`; arguments as of `turn`."""
    turn(columns[: rows.shape[1], : len(rows)].T, rows.T)
