"""Rules that select the active weights of a layer by their size alone."""

from typing import NamedTuple

import numpy as np

from cb.sparsity import masks


class Top(NamedTuple):
    """The largest weights; ties go to the lower index.

    Attributes:
        number: Integer, the number to choose.
    """

    number: int

    def choose(self, weights: np.ndarray) -> np.ndarray:
        """Return the mask of the weights to use, a boolean array."""
        return masks.keep_top(np.abs(weights), self.number)


class TopOfGroups(NamedTuple):
    """The largest weights of every group along an axis, ties likewise.

    Attributes:
        n: Integer, the number to choose of a group.
        m: Integer, size of a group; the last one may be smaller.
        axis: Integer.
    """

    n: int
    m: int
    axis: int

    def choose(self, weights: np.ndarray) -> np.ndarray:
        """Return the mask of the weights to use, a boolean array."""
        return masks.keep_top_of_groups(
            np.abs(weights), self.n, self.m, self.axis
        )


Rule = Top | TopOfGroups
