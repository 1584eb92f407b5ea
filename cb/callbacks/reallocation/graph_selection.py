"""Selection of the weights to use, after every step, by one call of a graph."""

import math
from collections.abc import Mapping
from collections.abc import Sequence

import tensorflow as tf

from cb.callbacks.reallocation.graph_events import Moved
from cb.kernels.operations import run
from cb.layers.functions import own_function
from cb.layers.masked import MaskedKernel
from cb.sparsity.masks import not_finite
from cb.sparsity.rules import Rule
from cb.sparsity.rules import Top

# Rows that are shorter than this are not worth a loop.
SHORT = 16


class GraphSelection:
    """Selects the active weights of all kernels anew, by their size.

    Args:
        kernels: List of `MaskedKernel`, each weight for itself.
        rules: Dict of layer key to `Rule`.
    """

    def __init__(
        self, kernels: Sequence[MaskedKernel], rules: Mapping[str, Rule]
    ):
        self._kernels = kernels
        self._rules = rules
        self._function = own_function(self._select, autograph=False)

    def __call__(self) -> list[Moved]:
        """Assign all masks; return what has changed.

        Raises:
            RunError: If a weight is NaN that is compared with all others.
        """
        numbers = self._function().numpy().astype(int).tolist()
        if any(unknown for *_, unknown in numbers):
            raise not_finite()
        return [
            Moved(
                kernel,
                before - kept,
                after - kept,
                after / math.prod(kernel.mask.shape),
            )
            for kernel, (before, kept, after, _) in zip(
                self._kernels, numbers, strict=True
            )
        ]

    def _select(self) -> tf.Tensor:
        numbers = []
        for kernel in self._kernels:
            shape = tuple(kernel.mask.shape)
            given = [
                tf.reshape(tf.cast(one.value, tf.float32), [-1])
                for one in (kernel.weight, kernel.mask)
            ]
            mask, counted = selected(self._rules[kernel.key], given, shape)
            kernel.mask.assign(tf.reshape(mask, shape))
            numbers.append(tf.ensure_shape(counted, [4]))
        return tf.stack(numbers)


def selected(
    rule: Rule, given: list[tf.Tensor], shape: Sequence[int]
) -> list[tf.Tensor]:
    """Add the operation of a rule to the graph that is being made.

    Args:
        rule: `Rule`.
        given: List of two float32 vectors, the weights and the mask of them
            that is to be replaced.
        shape: Tuple, the shape of the kernel.

    Returns:
        List of two float32 vectors: the new mask, and four numbers: entries
        that were active, those of them that still are, all that are, and
        weights that are NaN, if these were compared with all others.
    """
    if isinstance(rule, Top):
        return run("CbKeepTop", [*given, tf.constant([rule.number], tf.int64)])
    axis = rule.axis % len(shape)
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    lengths = outer, shape[axis], inner
    if inner >= SHORT:
        return _of_groups(rule, given, lengths)
    given = [tf.transpose(tf.reshape(v, lengths), [1, 0, 2]) for v in given]
    given = [tf.reshape(vector, [-1]) for vector in given]
    length = shape[axis]
    mask, numbers = _of_groups(rule, given, (1, length, outer * inner))
    mask = tf.reshape(mask, [length, outer, inner])
    return [tf.reshape(tf.transpose(mask, [1, 0, 2]), [-1]), numbers]


def _of_groups(rule, given, lengths):
    settings = tf.constant([rule.n, rule.m, *lengths], tf.int64)
    return run("CbKeepTopOfGroups", [*given, settings])
