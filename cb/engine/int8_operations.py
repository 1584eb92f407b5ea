"""The operations of a quantized network, free of layouts and instructions.

A value is bytes `(height, width, channels)`; byte `q` stands for
`scale * (q - zero)`. Sums are exact integers, what follows is float32 in the
order of the formulas below, rounded to the nearest integer (halves to even)
and limited to 0 to 255.
"""

import dataclasses

import numpy as np

Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Window:
    """Where a kernel or a pool looks.

    Attributes:
        size: Height and width.
        strides: Of the rows and columns.
        padding: `((top, bottom), (left, right))`.
        dilation: Of the rows and columns.
    """

    size: Pair = (1, 1)
    strides: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Quantize:
    """`target = input * factor + zero`."""

    target: int
    factor: np.float32
    zero: int


@dataclasses.dataclass(frozen=True, eq=False)
class Product:
    """A convolution with what follows it.

    `y = sum * multiplier + shift`, where the sum is that of the products of
    bytes and weights; plus `residual * residual_factor`, if there is one, is
    the target. `y * second_multiplier + second_shift` is the second target.

    Attributes:
        source: Integer, the value that goes in.
        target: Integer, the value that comes out, or `None` for the output of
            the network, which is `y` itself.
        kernel: int8 array `(height, width, inputs / groups, outputs)`.
        groups: Integer.
        window: `Window`.
        filling: Integer, the byte in the padding.
        multiplier: float32 array `(outputs,)`.
        shift: The same.
        residual: Integer, a value, or `None`.
        residual_factor: float32.
        second: Integer, a value, or `None`.
        second_multiplier: float32 array `(outputs,)`.
        second_shift: The same.
        first: Integer, the channel of the target that is output 0.
    """

    source: int
    target: int | None
    kernel: np.ndarray
    groups: int
    window: Window
    filling: int
    multiplier: np.ndarray
    shift: np.ndarray
    residual: int | None = None
    residual_factor: np.float32 = np.float32(0)
    second: int | None = None
    second_multiplier: np.ndarray | None = None
    second_shift: np.ndarray | None = None
    first: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class LookUp:
    """`target = table[source]`, with 256 bytes.

    `first` is the channel of the target that is channel 0 of the source.
    """

    source: int
    target: int
    table: np.ndarray
    first: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class MaxPool:
    """The largest byte in a window; there are zeros in the padding."""

    source: int
    target: int
    window: Window


@dataclasses.dataclass(frozen=True, eq=False)
class GlobalPool:
    """The largest byte of a channel, or `sum * factor + shift`."""

    source: int
    target: int
    function: str
    factor: np.float32
    shift: np.float32


Operation = Quantize | Product | LookUp | MaxPool | GlobalPool


@dataclasses.dataclass(frozen=True, eq=False)
class Operations:
    """A quantized network.

    Attributes:
        source: Shape of the input, `(height, width, channels)`.
        result: Shape of the output.
        shapes: Dict of the values to their shapes.
        operations: Tuple, in order. The last is a `Product` without a target.
        softmax: Boolean, whether the network is a softmax of what that
            returns, over channels.
    """

    source: tuple[int, int, int]
    result: tuple[int, int, int]
    shapes: dict[int, tuple[int, int, int]]
    operations: tuple[Operation, ...]
    softmax: bool = False
