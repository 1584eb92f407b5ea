"""Matrices for one image: vectors of outputs instead of positions."""

import dataclasses

import numpy as np

from cb.engine.layout import LANES
from cb.engine.layout import Entries
from cb.kernels.tiles import aligned
from cb.kernels.vectors import PICKED


@dataclasses.dataclass(frozen=True)
class Lanes:
    """A matrix for vectors of outputs.

    Sixteen outputs are one group. In a step each of them adds one input of
    `PICKED` after each other, so that these fit in two registers, or nothing.

    Attributes:
        counts: Integer array, the steps of each group.
        bases: Integer array, the first of the inputs of each step.
        lanes: uint8 array `(steps, 16)`, which of them each output takes.
        weights: Array `(steps, 16)` of floats, or of 32-bit integers.
    """

    counts: np.ndarray
    bases: np.ndarray
    lanes: np.ndarray
    weights: np.ndarray

    @classmethod
    def none(cls, kind: str = "float32") -> "Lanes":
        """Return a matrix without outputs."""
        empty = Entries(*[np.zeros(n, "int64") for n in (1, 0, 0, 0, 0)])
        return cls.of(empty, kind)

    @classmethod
    def of(cls, entries: Entries, kind: str = "float32") -> "Lanes":
        """Arrange the entries of a product of one position."""
        counts = np.diff(entries.starts)
        outputs = np.repeat(np.arange(len(counts)), counts)
        blocks, lanes = np.divmod(entries.channels, PICKED)
        number = int(blocks.max(initial=-1)) + 1
        # Entries of an output follow each other, in the order of inputs.
        key = outputs * number + blocks
        rank = np.arange(len(key)) - np.searchsorted(key, key)
        groups = -(-len(counts) // LANES)
        longest = np.zeros((groups, number), "int64")
        group = outputs // LANES
        np.maximum.at(longest, (group, blocks), rank + 1)
        ends = np.cumsum(longest)
        steps = (ends - longest.ravel()).reshape(longest.shape)
        step = steps[group, blocks] + rank
        total = int(longest.sum())
        found = cls(
            longest.sum(1),
            np.repeat(np.tile(np.arange(number), groups), longest.ravel())
            * PICKED,
            np.zeros((total, LANES), np.uint8),
            np.zeros((total, LANES), kind),
        )
        found.lanes[step, outputs % LANES] = lanes
        found.weights[step, outputs % LANES] = entries.values
        return found

    @staticmethod
    def joined(matrices: list["Lanes"]) -> tuple[np.ndarray, ...]:
        """Return the first step of every group, and the end, and the steps."""
        counts = np.concatenate([one.counts for one in matrices])
        lanes = np.concatenate([one.lanes for one in matrices])
        weights = np.concatenate([one.weights for one in matrices])
        # Of whole lines of the cache, each.
        lines = aligned((lanes.size // 4,)).view(np.uint8)
        lines[:] = lanes.ravel()
        factors = aligned((weights.size,)).view(weights.dtype)
        factors[:] = weights.ravel()
        return (
            np.concatenate([[0], np.cumsum(counts)]).astype("int64"),
            np.concatenate([one.bases for one in matrices]).astype("int32"),
            lines,
            factors,
        )
