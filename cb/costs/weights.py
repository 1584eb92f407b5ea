"""Numbers of weights by kind, and the bytes that store them."""

import math
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.layers.traversal import own_variables

# Size of the index of a nonzero, and of the start of a row.
INDEX_BYTES = 4


class Weights(NamedTuple):
    """Numbers of weights.

    Attributes:
        kernels: Integer, entries of kernels, embeddings and the like.
        nonzero: Integer, those of them that are active.
        sparse: Integer, entries of the kernels that have zeros.
        biases: Integer.
        normalization: Integer, scales and offsets of normalizations.
        statistics: Integer, moving averages and other constants.
        dense_bytes: Integer, everything as it is.
        csr_bytes: Integer, kernels with zeros as compressed sparse rows.
        bitmask_bytes: Integer, kernels with zeros as their nonzeros and one
            bit an entry.
    """

    kernels: int = 0
    nonzero: int = 0
    sparse: int = 0
    biases: int = 0
    normalization: int = 0
    statistics: int = 0
    dense_bytes: int = 0
    csr_bytes: int = 0
    bitmask_bytes: int = 0

    @property
    def total(self) -> int:
        """All parameters; not the statistics, which are not trained."""
        return self.kernels + self.biases + self.normalization

    @property
    def total_nonzero(self) -> int:
        """All parameters but the zeros of kernels."""
        return self.total - self.kernels + self.nonzero


def add(parts: Iterable[Weights]) -> Weights:
    """Return the sum of several `Weights`."""
    columns = zip(Weights(), *parts, strict=True)
    return Weights(*(sum(column) for column in columns))


def active_counts(model: keras.Model) -> dict[int, int]:
    """Count the active entries of each variable.

    Args:
        model: Built Keras model.

    Returns:
        Dict of the `id` of a variable to an integer: the active entries of
        its mask; without a mask, its nonzeros. A variable of zeros only has
        not been trained rather than pruned, and counts whole. Masks are left
        out.
    """
    kernels = masked_kernels(model)
    counts = {
        id(kernel.weight): int(np.count_nonzero(read(kernel.mask)))
        for kernel in kernels
    }
    masks = {id(kernel.mask) for kernel in kernels}
    for variable in model.weights:
        if id(variable) in masks:
            continue
        size = math.prod(variable.shape)
        # A model that only has shapes holds no values.
        if id(variable) not in counts and variable._value is not None:
            nonzero = int(np.count_nonzero(read(variable)))
            counts[id(variable)] = nonzero or size
        counts.setdefault(id(variable), size)
    return counts


def shared_out(
    counts: Mapping[int, int], layers: Sequence[keras.layers.Layer]
) -> dict[int, dict[int, int]]:
    """Assign every variable to the last layer that has it.

    A wrapper can track the kernel of the layer inside it.

    Args:
        counts: Dict of the `id` of a variable to a number.
        layers: Sequence of layers, outer ones before those in them.

    Returns:
        Dict of the `id` of every layer to a part of `counts`.
    """
    owners = {
        id(variable): id(layer)
        for layer in layers
        for variable in own_variables(layer)
    }
    found: dict[int, dict[int, int]] = {id(layer): {} for layer in layers}
    for key, number in counts.items():
        if key in owners:
            found[owners[key]][key] = number
    return found


def layer_weights(
    layer: keras.layers.Layer,
    counts: Mapping[int, int],
    multiplied: Collection[int],
    density: float | None = None,
) -> Weights:
    """Count the weights that a layer itself has, not those in it.

    Args:
        layer: Built Keras layer.
        counts: Dict of the `id` of a variable to the entries that count;
            other variables do not.
        multiplied: Collection of the `id` of the variables that data is
            multiplied by as a whole, which are kernels, trained or not.
        density: Float, part of every kernel to count instead, or `None`.

    Returns:
        `Weights`.
    """
    normalizes = "Normalization" in type(layer).__name__
    parts = []
    trained = {id(variable) for variable in layer._trainable_variables}
    for variable in own_variables(layer):
        if id(variable) not in counts:
            continue
        kernel = id(variable) in multiplied
        if not kernel and id(variable) not in trained:
            parts.append(_dense(variable, "statistics"))
        elif not kernel and normalizes:
            parts.append(_dense(variable, "normalization"))
        elif not kernel and variable.name.endswith("bias"):
            parts.append(_dense(variable, "biases"))
        else:
            nonzero = counts[id(variable)]
            if density is not None:
                nonzero = int(density * math.prod(variable.shape))
            parts.append(_kernel(variable, nonzero))
    return add(parts)


def _dense(variable, kind: str) -> Weights:
    size = math.prod(variable.shape)
    bytes_ = size * _item_bytes(variable)
    return Weights(
        dense_bytes=bytes_, csr_bytes=bytes_, bitmask_bytes=bytes_
    )._replace(**{kind: size})


def _kernel(variable, nonzero: int) -> Weights:
    size = math.prod(variable.shape)
    item = _item_bytes(variable)
    dense = csr = bitmask = size * item
    if nonzero < size:
        rows = variable.shape[-1]
        csr = nonzero * (item + INDEX_BYTES) + (rows + 1) * INDEX_BYTES
        bitmask = nonzero * item + -(-size // 8)
    return Weights(
        size,
        nonzero,
        size if nonzero < size else 0,
        dense_bytes=dense,
        csr_bytes=csr,
        bitmask_bytes=bitmask,
    )


def _item_bytes(variable) -> int:
    return tf.as_dtype(variable.dtype).size
