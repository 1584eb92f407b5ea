"""Arithmetic of recurrent cells, which run in a loop."""

import keras
import tensorflow as tf

from cb.costs.operations import Arithmetic

KERNELS = ("kernel", "recurrent_kernel")


def cell_arithmetic(
    layer: keras.layers.RNN, inputs: tf.Tensor
) -> list[tuple[keras.layers.Layer, Arithmetic | None, keras.Variable | None]]:
    """Count the arithmetic of the cells of a recurrent layer in one call.

    Args:
        layer: Recurrent Keras layer.
        inputs: Symbolic tensor `(batch, steps, ...)` of known shape.

    Returns:
        List of tuples of a cell, its `Arithmetic`, `None` if the kind of
        cell is not known, and the kernel of its products, if there is one.
    """
    found: list = []
    batch, steps = inputs.shape[:2]
    for cell in getattr(layer.cell, "cells", [layer.cell]):
        others = _others(cell)
        if others is None:
            found.append((cell, None, None))
            continue
        named = {v.name: v for v in cell._trainable_variables}
        for name in KERNELS:
            kernel = named[name]
            macs = batch * steps * tf.TensorShape(kernel.shape).num_elements()
            found.append((cell, Arithmetic(macs), kernel))
        found.append((cell, Arithmetic(0, batch * steps * others), None))
    return found


def _others(cell) -> int | None:
    """Return the operations of a step besides the products of kernels."""
    calls = {
        keras.layers.SimpleRNNCell.call: _simple,
        keras.layers.LSTMCell.call: _lstm,
        keras.layers.GRUCell.call: _gru,
    }
    # A subclass that overrides `call` computes something else.
    rule = calls.get(type(cell).call)
    return rule and rule(cell) * cell.units


def _simple(cell) -> int:
    # Sum of the two products and activation.
    return 2 + cell.use_bias


def _lstm(cell) -> int:
    # Four sums, five activations, three products and one sum of states.
    return 4 + 5 + 4 + 4 * cell.use_bias


def _gru(cell) -> int:
    # Three sums, three activations, the reset, and the mean of two states.
    biases = 6 if cell.reset_after else 3
    return 3 + 3 + 1 + 4 + biases * cell.use_bias
