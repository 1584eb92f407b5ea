"""Arithmetic of one TensorFlow operation, from its shapes alone."""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Arithmetic(NamedTuple):
    """Arithmetic of an operation.

    Attributes:
        macs: Integer, multiplications that are added up.
        others: Integer, any other floating-point operations.
        operands: The tensors that are multiplied by each other.
    """

    macs: int = 0
    others: int = 0
    operands: tuple[tf.Tensor, ...] = ()


FREE = frozenset(
    # Operations that move, copy, reinterpret or select numbers.
    """
    Assert BatchToSpaceND Bitcast BroadcastTo Cast CheckNumerics Concat
    ConcatV2 DepthToSpace EnsureShape ExpandDims Fill Gather GatherNd GatherV2
    Identity IdentityN MatrixBandPart MirrorPad NoOp OneHot OnesLike Pack Pad
    PadV2 Placeholder PreventGradient Rank Reshape ResizeNearestNeighbor
    ResourceGather ReverseV2 Roll ScatterNd Select SelectV2 Shape ShapeN Size
    Slice Snapshot SpaceToBatchND SpaceToDepth Split SplitV Squeeze
    StopGradient StridedSlice Tile Transpose Unpack ZerosLike
    """.split()
)

# Number of operations for each element of the output.
ELEMENTWISE = dict.fromkeys(
    """
    Abs Add AddV2 Atan2 BiasAdd Ceil Cos Cosh Div DivNoNan Elu Equal Erf Erfc
    Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual Inv IsFinite IsInf
    IsNan LeakyRelu Less LessEqual Log Log1p Maximum Minimum Mod Mul MulNoNan
    Neg NotEqual Pow RealDiv Reciprocal Relu Relu6 Rint Round Rsqrt Selu
    Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Square SquaredDifference Sub
    Tan Tanh Xdivy
    """.split(),
    1,
) | {
    # Scale and offset; their other factors are constant at inference.
    "FusedBatchNormV3": 2,
    # Maximum, difference, exponential, sum and quotient.
    "LogSoftmax": 5,
    "Softmax": 5,
}

REDUCTIONS = frozenset("ArgMax ArgMin Max Mean Min Prod Sum Cumsum".split())
POOLS = frozenset("AvgPool AvgPool3D MaxPool MaxPool3D".split())


def size(tensor: tf.Tensor) -> int:
    """Return the number of elements of a tensor of known shape."""
    return math.prod(tensor.shape)


def arithmetic(operation: tf.Operation) -> Arithmetic | None:
    """Count the arithmetic of an operation.

    Args:
        operation: Operation of a graph all of whose shapes are known.

    Returns:
        `Arithmetic`; `None` if the kind of operation is not known.
    """
    kind = operation.type
    if kind in PRODUCTS:
        return PRODUCTS[kind](operation)
    if kind in FREE:
        return Arithmetic()
    if kind in ELEMENTWISE:
        return Arithmetic(others=ELEMENTWISE[kind] * size(operation.outputs[0]))
    if kind == "AddN":
        added = len(operation.inputs) - 1
        return Arithmetic(others=added * size(operation.outputs[0]))
    if kind in REDUCTIONS:
        return Arithmetic(others=size(operation.inputs[0]))
    if kind in POOLS:
        window = math.prod(operation.get_attr("ksize"))
        return Arithmetic(others=window * size(operation.outputs[0]))
    return None


def _matrix_product(operation) -> Arithmetic:
    left, right = operation.inputs[:2]
    attribute = "transpose_a" if operation.type == "MatMul" else "adj_x"
    inner = left.shape[-2 if operation.get_attr(attribute) else -1]
    return Arithmetic(size(operation.outputs[0]) * inner, 0, (left, right))


def _convolution(operation) -> Arithmetic:
    images, kernel = operation.inputs[:2]
    positions = size(_undilated(operation.outputs[0])) // kernel.shape[-1]
    return Arithmetic(positions * size(kernel), 0, (images, kernel))


def _undilated(outputs: tf.Tensor) -> tf.Tensor:
    """Return the output of a convolution without TensorFlow's dilation.

    With dilation, TensorFlow moves positions to a larger batch and pads it.
    """
    for consumer in outputs.consumers():
        if consumer.type == "BatchToSpaceND":
            return consumer.outputs[0]
        if consumer.type == "Squeeze":
            return _undilated(consumer.outputs[0])
    return outputs


def _depthwise_convolution(operation) -> Arithmetic:
    images, kernel = operation.inputs[:2]
    outputs = size(_undilated(operation.outputs[0]))
    macs = math.prod(kernel.shape[:2]) * outputs
    return Arithmetic(macs, 0, (images, kernel))


def _transposed_convolution(operation) -> Arithmetic:
    _, kernel, images = operation.inputs[:3]
    positions = size(images) // kernel.shape[-1]
    return Arithmetic(positions * size(kernel), 0, (images, kernel))


def _einsum(operation) -> Arithmetic:
    equation = operation.get_attr("equation").decode()
    terms = equation.split("->")[0].split(",")
    lengths: dict[str, int] = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        axes = _labels(term, len(tensor.shape))
        # A dimension of one is broadcast to that of the other operand.
        for label, length in zip(axes, tensor.shape, strict=True):
            lengths[label] = max(length, lengths.get(label, 1))
    if len(terms) == 1:
        return Arithmetic(others=math.prod(lengths.values()))
    return Arithmetic(math.prod(lengths.values()), 0, tuple(operation.inputs))


def _labels(term: str, rank: int) -> list[str]:
    """Name the axes of an operand; those of an ellipsis from the right."""
    before, dots, after = term.partition("...")
    missing = rank - len(before) - len(after) if dots else 0
    return [*before, *(f"...{n}" for n in range(missing, 0, -1)), *after]


PRODUCTS: dict[str, Callable[[tf.Operation], Arithmetic]] = {
    "BatchMatMul": _matrix_product,
    "BatchMatMulV2": _matrix_product,
    "BatchMatMulV3": _matrix_product,
    "Conv2D": _convolution,
    "Conv2DBackpropInput": _transposed_convolution,
    "Conv3D": _convolution,
    "Conv3DBackpropInputV2": _transposed_convolution,
    "DepthwiseConv2dNative": _depthwise_convolution,
    "Einsum": _einsum,
    "MatMul": _matrix_product,
}
