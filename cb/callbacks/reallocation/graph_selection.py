"""Selection of the weights to use, after every step, by one call of a graph.

The pure algorithms say which these are, and select them wherever this does
not. It chooses the same ones: between two steps NumPy would cost more than a
step of a small model.
"""

import itertools
import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cb.layers.masked import MaskedKernel
from cb.sparsity.masks import LARGEST_UNSORTED_GROUP
from cb.sparsity.masks import not_finite
from cb.sparsity.reallocation.base import State
from cb.sparsity.reallocation.discover_wirings import DiscoverWirings
from cb.sparsity.reallocation.n_by_m import NByM

# Sums of so many ones are exact in float32.
LARGEST = 2**24
# How far from the last threshold, as a fraction of it, the next one is sought.
MARGIN = 0.01

Rule = Callable[[tf.Tensor], tf.Tensor]


class Moved(NamedTuple):
    """What an event has changed in one kernel.

    Attributes:
        kernel: `MaskedKernel`.
        dropped: Integer, entries of the mask made inactive.
        grown: Integer, entries made active.
        density: Float, the fraction of active entries.
    """

    kernel: MaskedKernel
    dropped: int
    grown: int
    density: float


class GraphSelection:
    """Selects the active weights of all kernels anew, by their size.

    Args:
        kernels: List of `MaskedKernel`.
        rules: One function a kernel, from the absolute weights to their mask,
            1 where active.
        finite: Boolean, whether weights must not be NaN.
    """

    def __init__(
        self,
        kernels: Sequence[MaskedKernel],
        rules: Sequence[Rule],
        finite: bool,
    ):
        self._kernels = kernels
        self._rules = rules
        self._finite = finite
        self._function = tf.function(self._select, autograph=False)

    def __call__(self) -> list[Moved]:
        """Assign all masks; return what has changed.

        Raises:
            RunError: If a weight is NaN.
        """
        numbers = self._function().numpy()
        # A sum is NaN if any weight is.
        if self._finite and np.isnan(numbers).any():
            raise not_finite()
        return [
            Moved(
                kernel,
                int(before - kept),
                int(after - kept),
                after / math.prod(kernel.mask.shape),
            )
            for kernel, (before, kept, after, _) in zip(
                self._kernels, numbers.tolist(), strict=True
            )
        ]

    def _select(self) -> tf.Tensor:
        numbers = []
        for kernel, rule in zip(self._kernels, self._rules, strict=True):
            scores = tf.abs(tf.cast(kernel.weight.value, tf.float32))
            before = tf.cast(kernel.mask.value, tf.float32)
            after = tf.reshape(rule(scores), scores.shape)
            kept = tf.tensordot(before, after, len(scores.shape))
            sums = [tf.reduce_sum(one) for one in (before, after, scores)]
            numbers.append([sums[0], kept, *sums[1:]])
            kernel.mask.assign(after)
        return tf.convert_to_tensor(numbers)


def graph_selection(
    algorithm: DiscoverWirings | NByM,
    kernels: Sequence[MaskedKernel],
    state: State,
) -> GraphSelection | None:
    """Return what selects as an algorithm does, or `None` if nothing does.

    Args:
        algorithm: The algorithm.
        kernels: List of `MaskedKernel`, each weight for itself.
        state: Dict of name to array, that of the algorithm.
    """
    if any(math.prod(kernel.mask.shape) >= LARGEST for kernel in kernels):
        return None
    if isinstance(algorithm, DiscoverWirings):
        counts = [int(state[f"count/{kernel.key}"]) for kernel in kernels]
        rules = [top(count) for count in counts]
        return GraphSelection(kernels, rules, finite=True)
    if algorithm.m > LARGEST_UNSORTED_GROUP:
        return None
    rule = top_of_groups(algorithm.n, algorithm.m, algorithm.axis)
    return GraphSelection(kernels, [rule] * len(kernels), finite=False)


def top(count: int) -> Rule:
    """Choose the highest scores, as `cb.sparsity.masks.keep_top` does.

    The last threshold leaves few scores to sort, unless it has moved far.

    Args:
        count: Integer, the number to choose.
    """
    last = tf.Variable(np.float32(np.nan), trainable=False)

    def rule(scores):
        scores = tf.reshape(scores, [-1])
        high = last * (1.0 + MARGIN)
        above = tf.cast(scores > high, tf.float32)
        left = count - tf.cast(tf.reduce_sum(above), tf.int32)
        near = (scores > last * (1.0 - MARGIN)) & (scores <= high)
        near = tf.where(near)[:, 0]
        found = (left >= 0) & (left <= tf.size(near))

        def few():
            return _add_best(above, scores, near, left)

        def all_of_them():
            nothing = tf.zeros_like(scores)
            everywhere = tf.range(tf.size(scores, tf.int64))
            return _add_best(nothing, scores, everywhere, count)

        mask, lowest = tf.cond(found, few, all_of_them)
        last.assign(tf.concat([[last], lowest], 0)[-1])
        return mask

    return rule


def _add_best(mask, scores, places, count):
    """Return a mask with the highest scores at some places, and these."""
    best = tf.math.top_k(tf.gather(scores, places), count)
    chosen = tf.gather(places, best.indices)[:, None]
    mask = tf.tensor_scatter_nd_update(mask, chosen, tf.ones_like(best.values))
    return mask, best.values


def top_of_groups(n: int, m: int, axis: int) -> Rule:
    """Choose as `cb.sparsity.masks.keep_top_of_groups` does.

    Args:
        n: Integer, the number to choose of a group.
        m: Integer, size of a group; the last one may be smaller.
        axis: Integer.
    """

    def rule(scores):
        shape = scores.shape.as_list()
        at = axis % len(shape)
        missing = -shape[at] % m
        padding = [[0, missing * (a == at)] for a in range(len(shape))]
        if missing:
            scores = tf.pad(scores, padding, constant_values=-math.inf)
        groups = [*shape[:at], -1, m, *shape[at + 1 :]]
        members = tf.unstack(tf.reshape(scores, groups), axis=at + 1)
        better: list[list[tf.Tensor]] = [[] for _ in members]
        for first, second in itertools.combinations(range(m), 2):
            wins = members[first] >= members[second]
            better[second].append(tf.cast(wins, tf.int8))
            better[first].append(tf.cast(~wins, tf.int8))
        if m == 1:
            return tf.ones_like(scores)
        chosen = [tf.add_n(numbers) < n for numbers in better]
        mask = tf.cast(tf.stack(chosen, at + 1), tf.float32)
        whole = [*shape[:at], -1, *shape[at + 1 :]]
        return tf.slice(tf.reshape(mask, whole), [0] * len(shape), shape)

    return rule
