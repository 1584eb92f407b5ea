"""Quantized networks by NumPy, from the formulas of the operations."""

import numpy as np

from cb.engine.int8_operations import GlobalPool
from cb.engine.int8_operations import LookUp
from cb.engine.int8_operations import MaxPool
from cb.engine.int8_operations import Quantize


def windows(x, window, filling):
    """Yield what each row and column of a kernel is multiplied with."""
    x = np.pad(x, ((0, 0), *window.padding, (0, 0)), constant_values=filling)
    sides = [
        (side - (size - 1) * step - 1) // stride + 1
        for side, size, step, stride in zip(
            x.shape[1:3],
            window.size,
            window.dilation,
            window.strides,
            strict=True,
        )
    ]
    for row in range(window.size[0]):
        for column in range(window.size[1]):
            y, x0 = row * window.dilation[0], column * window.dilation[1]
            yield (
                row,
                column,
                x[
                    :,
                    y : y + (sides[0] - 1) * window.strides[0] + 1,
                    x0 : x0 + (sides[1] - 1) * window.strides[1] + 1,
                ][:, :: window.strides[0], :: window.strides[1]],
            )


def to_bytes(y):
    assert y.dtype == np.float32
    return np.clip(np.rint(y), 0, 255).astype("uint8")


def product(operation, values):
    x, kernel = values[operation.source], operation.kernel.astype("int64")
    inputs, outputs = kernel.shape[2], kernel.shape[3] // operation.groups
    total = 0
    for row, column, part in windows(x, operation.window, operation.filling):
        total = total + np.concatenate(
            [
                part[..., g * inputs : (g + 1) * inputs].astype("int64")
                @ kernel[row, column, :, g * outputs : (g + 1) * outputs]
                for g in range(operation.groups)
            ],
            -1,
        )
    assert np.abs(total).max(initial=0) < 2**31
    y = total.astype("int32").astype("float32") * operation.multiplier
    y = y + operation.shift
    if operation.residual is not None:
        other = values[operation.residual].astype("float32")
        y = y + other * operation.residual_factor
    return y


def simulate(network, images):
    """Run `Operations` on float images; return floats, and all values."""
    values = {}
    for operation in network.operations:
        if isinstance(operation, Quantize):
            # An image that is flattened at once is a vector.
            x = images.reshape(-1, *network.source).astype("float32")
            x = x * operation.factor
            values[operation.target] = to_bytes(x + np.float32(operation.zero))
            continue
        x = values[operation.source]
        if isinstance(operation, LookUp):
            shape = network.shapes[operation.target]
            target = values.setdefault(
                operation.target, np.zeros((len(x), *shape), "uint8")
            )
            end = operation.first + x.shape[-1]
            target[..., operation.first : end] = operation.table[x]
        elif isinstance(operation, MaxPool):
            parts = [part for *_, part in windows(x, operation.window, 0)]
            values[operation.target] = np.max(parts, 0)
        elif isinstance(operation, GlobalPool):
            if operation.function == "max":
                y = x.max((1, 2), keepdims=True)
            else:
                total = x.sum((1, 2), dtype="int32", keepdims=True)
                y = total.astype("float32") * operation.factor
                y = to_bytes(y + operation.shift)
            values[operation.target] = y
        else:
            y = product(operation, values)
            if operation.target is None:
                return y, values
            shape = network.shapes[operation.target]
            target = values.setdefault(
                operation.target, np.zeros((len(x), *shape), "uint8")
            )
            first = operation.first
            target[..., first : first + y.shape[-1]] = to_bytes(y)
            if operation.second is not None:
                again = y * operation.second_multiplier
                again = again + operation.second_shift
                values[operation.second] = to_bytes(again)
    raise AssertionError("a network ends in floats")
