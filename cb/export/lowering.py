"""Lowering: from the calls of a Keras model to the engine's graph."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from cb.engine.graph import ACTIVATIONS
from cb.engine.graph import Graph
from cb.engine.graph import Node
from cb.engine.graph import Shape
from cb.engine.graph import connect
from cb.export.graph import Call
from cb.export.graph import Value
from cb.export.graph import changes_nothing
from cb.layers import GhostBatchNormalization

layers = keras.layers
_RELU = {"slope": 0.0, "threshold": 0.0, "limit": None}
# From Keras's functions to the options of `activation` nodes.
_FUNCTIONS: dict[Any, dict[str, Any]] = {
    getattr(keras.activations, name): {"function": name} for name in ACTIVATIONS
}
_FUNCTIONS[keras.activations.relu].update(_RELU)
_FUNCTIONS[keras.activations.relu6] = {
    **_FUNCTIONS[keras.activations.relu],
    "limit": 6.0,
}
_FUNCTIONS[keras.activations.leaky_relu] = {
    **_FUNCTIONS[keras.activations.relu],
    "slope": 0.2,
}
_NONE = ((0, 0), (0, 0))


def obstacle(call: Call) -> str:
    """Return why the engine cannot run a call; nothing if it can.

    Args:
        call: `Call`.

    Returns:
        String.
    """
    layer = call.operation
    if changes_nothing(call):
        return ""
    if type(layer) not in _RULES:
        return f"{call.kind} is not known"
    if call.kwargs.get("training"):
        return "called with `training=True`"
    lora = getattr(layer, "lora_enabled", False)
    if lora or getattr(layer, "quantization_mode", None):
        return "quantized or with LoRA"
    values = [*call.sources, *call.results]
    if {value.dtype for value in values} != {"float32"}:
        return f"computes in {', '.join(sorted({v.dtype for v in values}))}"
    if any(value.masked for value in values):
        return "masks of steps"
    if not all(map(_image, values)):
        return "no images, sequences or vectors of a fixed size"
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return "channels come first"
    return _unfit(call)


def _unfit(call: Call) -> str:
    """Return why the engine does not support the arguments of a layer."""
    layer, source = call.operation, call.sources[0]
    last = len(source.shape) - 1
    axis = getattr(layer, "axis", last)
    if axis not in (-1, last, [last], [-1], (last,), (-1,)):
        return f"axis {axis}, which is not that of channels"
    known = getattr(layer, "activation", None) in (
        None,
        keras.activations.linear,
        keras.activations.softmax,
        *_FUNCTIONS,
    )
    if not known:
        return "an activation that the engine does not have"
    if isinstance(layer, layers.Add) and len({*call.sources}) > 1:
        if len({value.shape for value in call.sources}) > 1:
            return "adds values of several shapes"
    if isinstance(layer, layers.Reshape):
        shapes = map(image_shape, [*call.sources, *call.results])
        if any(shape[:2] != (1, 1) for shape in shapes):
            return "reshapes more than one position"
    if isinstance(layer, layers.Rescaling):
        if not np.size(layer.scale) == np.size(layer.offset) == 1:
            return "scales channels differently"
    if isinstance(layer, layers.ELU) and layer.alpha != 1:
        return "an ELU of another slope"
    return ""


def _image(value: Value) -> bool:
    return 2 <= len(value.shape) <= 4 and None not in value.shape[1:]


def image_shape(value: Value) -> Shape:
    """Return the shape of a value as the engine sees it."""
    sides = (side or 0 for side in value.shape[1:])
    height, width, channels = (1, 1, *sides)[-3:]
    return (height, width, channels)


def lower(
    calls: Sequence[Call], sources: Sequence[Value], results: Sequence[Value]
) -> Graph:
    """Return the engine's graph of some calls.

    Args:
        calls: Sequence of `Call` without an `obstacle`, each after those that
            it needs.
        sources: Sequence of `Value`, the inputs, in their order.
        results: Sequence of `Value`, the outputs, in their order.

    Returns:
        `cb.engine.Graph`.
    """
    lowering = _Lowering(sources)
    for call in calls:
        if changes_nothing(call):
            number = lowering.numbers[call.sources[0]]
        else:
            inputs = [lowering.numbers[value] for value in call.sources]
            number = _RULES[type(call.operation)](lowering, call, *inputs)
        lowering.numbers[call.results[0]] = number
    return connect(
        {lowering.numbers[v]: image_shape(v) for v in sources},
        [lowering.numbers[value] for value in results],
        lowering.nodes,
    )


class _Lowering:
    """Nodes made so far.

    Args:
        sources: Sequence of `Value`, the inputs.

    Attributes:
        nodes: List of `Node`.
        numbers: Dict of every `Value` to the number that stands for it.
    """

    def __init__(self, sources: Sequence[Value]):
        self.nodes: list[Node] = []
        self.numbers = {value: number for number, value in enumerate(sources)}
        self._next = len(self.numbers)

    def add(self, kind: str, call: Call, *inputs: int, **given) -> int:
        """Add a node; return the number of its output.

        Args:
            kind: String.
            call: `Call` that the node comes from.
            *inputs: Integers, numbers of values.
            **given: Options and arrays of the node.
        """
        arrays = {
            name: np.ascontiguousarray(value, "float32")
            for name, value in given.items()
            if isinstance(value, np.ndarray)
        }
        options = {k: v for k, v in given.items() if k not in arrays}
        node = Node(kind, call.name, inputs, self._next, options, arrays)
        self.nodes.append(node)
        self._next += 1
        return node.output

    def activate(self, call: Call, number: int, function: Any) -> int:
        """Add the node of a Keras activation, if it does anything."""
        if function in (None, keras.activations.linear):
            return number
        if function is keras.activations.softmax:
            return self.add("softmax", call, number)
        return self.add("activation", call, number, **_FUNCTIONS[function])

    def convolve(self, call: Call, number: int, kernel, bias, **options) -> int:
        """Add a convolution; 4 axes of the kernel, strides 1 by default."""
        if bias is None:
            bias = np.zeros(kernel.shape[-1])
        given = {
            "strides": (1, 1),
            "padding": _NONE,
            "dilation": (1, 1),
            "groups": 1,
            **options,
        }
        return self.add(
            "convolution", call, number, kernel=kernel, bias=bias, **given
        )


def _padding(name: str, source: Shape, size, strides, dilation=(1, 1)):
    """Return the zeros around an image as TensorFlow puts them."""
    if name == "valid":
        return _NONE
    spans = [(one - 1) * step for one, step in zip(size, dilation, strict=True)]
    if name == "causal":
        return ((0, 0), (spans[1], 0))
    padding = []
    for side, span, stride in zip(source[:2], spans, strides, strict=True):
        total = max(0, (-(-side // stride) - 1) * stride + span + 1 - side)
        padding.append((total // 2, total - total // 2))
    return (*padding,)


def _two(numbers: Sequence[int]) -> tuple[int, int]:
    """Return sizes along height and width, 1 along a height not given."""
    return (1, *numbers)[-2:]  # type: ignore[return-value]


def _bias(layer) -> np.ndarray | None:
    return np.asarray(layer.bias) if layer.use_bias else None


def _dense(lowering: _Lowering, call: Call, number: int) -> int:
    layer: Any = call.operation
    kernel = np.asarray(layer.kernel)[None, None]
    number = lowering.convolve(call, number, kernel, _bias(layer))
    return lowering.activate(call, number, layer.activation)


def _windows(call: Call) -> dict[str, Any]:
    """Return the strides, padding and dilation of a convolution."""
    layer: Any = call.operation
    strides, dilation = _two(layer.strides), _two(layer.dilation_rate)
    return {
        "strides": strides,
        "dilation": dilation,
        "padding": _padding(
            layer.padding,
            image_shape(call.sources[0]),
            _two(layer.kernel_size),
            strides,
            dilation,
        ),
    }


def _image_kernel(kernel) -> np.ndarray:
    """Return a kernel with an axis for height."""
    kernel = np.asarray(kernel)
    return kernel if kernel.ndim == 4 else kernel[None]


def _convolution(lowering: _Lowering, call: Call, number: int) -> int:
    layer: Any = call.operation
    number = lowering.convolve(
        call,
        number,
        _image_kernel(layer.kernel),
        _bias(layer),
        groups=layer.groups,
        **_windows(call),
    )
    return lowering.activate(call, number, layer.activation)


def _depthwise(lowering: _Lowering, call: Call, number: int) -> int:
    layer: Any = call.operation
    number = _by_channel(lowering, call, number, layer.kernel, _bias(layer))
    return lowering.activate(call, number, layer.activation)


def _by_channel(lowering, call, number, kernel, bias) -> int:
    kernel = _image_kernel(kernel)
    *size, groups, multiplier = kernel.shape
    kernel = kernel.reshape(*size, 1, groups * multiplier)
    options = {**_windows(call), "groups": groups}
    return lowering.convolve(call, number, kernel, bias, **options)


def _separable(lowering: _Lowering, call: Call, number: int) -> int:
    layer: Any = call.operation
    number = _by_channel(lowering, call, number, layer.depthwise_kernel, None)
    kernel = _image_kernel(layer.pointwise_kernel)
    number = lowering.convolve(call, number, kernel, _bias(layer))
    return lowering.activate(call, number, layer.activation)


def _normalization(lowering: _Lowering, call: Call, number: int) -> int:
    layer: Any = call.operation
    deviation = np.sqrt(np.float64(layer.moving_variance) + layer.epsilon)
    scale = (np.float64(layer.gamma) if layer.scale else 1.0) / deviation
    shift = -np.float64(layer.moving_mean) * scale
    if layer.center:
        shift = shift + np.float64(layer.beta)
    return lowering.add("scale", call, number, scale=scale, shift=shift)


def _rescaling(lowering: _Lowering, call: Call, number: int) -> int:
    layer: Any = call.operation
    ones = np.ones(call.sources[0].channels)
    # Lists and arrays of one number, too.
    scale, offset = (
        np.asarray(one, "float64").item() for one in (layer.scale, layer.offset)
    )
    return lowering.add(
        "scale", call, number, scale=ones * scale, shift=ones * offset
    )


def _activation(lowering: _Lowering, call: Call, number: int) -> int:
    layer: Any = call.operation
    return lowering.activate(call, number, layer.activation)


def _relu(lowering: _Lowering, call: Call, number: int) -> int:
    layer: Any = call.operation
    options = {
        "function": "relu",
        "slope": float(layer.negative_slope),
        "threshold": float(getattr(layer, "threshold", 0.0)),
        "limit": None,
    }
    if getattr(layer, "max_value", None) is not None:
        options["limit"] = float(layer.max_value)
    return lowering.add("activation", call, number, **options)


def _elu(lowering: _Lowering, call: Call, number: int) -> int:
    return lowering.add("activation", call, number, function="elu")


def _pool(lowering: _Lowering, call: Call, number: int) -> int:
    layer: Any = call.operation
    size, strides = _two(layer.pool_size), _two(layer.strides)
    source = image_shape(call.sources[0])
    return lowering.add(
        "pool",
        call,
        number,
        function=_pooled(call),
        size=size,
        strides=strides,
        padding=_padding(layer.padding, source, size, strides),
    )


def _global_pool(lowering: _Lowering, call: Call, number: int) -> int:
    return lowering.add("global_pool", call, number, function=_pooled(call))


def _pooled(call: Call) -> str:
    return "max" if "Max" in call.kind else "average"


def _pad(lowering: _Lowering, call: Call, number: int) -> int:
    given: Any = call.operation.padding  # type: ignore[attr-defined]
    both = given if isinstance(given[0], Sequence) else ((0, 0), given)
    padding = tuple(tuple(map(int, pair)) for pair in both)
    return lowering.add("pad", call, number, padding=padding)


def _alone(kind: str) -> Callable[..., int]:
    """Return the rule of a layer that is one node without options."""

    def rule(lowering: _Lowering, call: Call, *inputs: int) -> int:
        return lowering.add(kind, call, *inputs)

    return rule


_RULES: dict[type, Callable[..., int]] = {
    layers.Dense: _dense,
    layers.Conv1D: _convolution,
    layers.Conv2D: _convolution,
    layers.DepthwiseConv1D: _depthwise,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv1D: _separable,
    layers.SeparableConv2D: _separable,
    layers.BatchNormalization: _normalization,
    GhostBatchNormalization: _normalization,
    layers.Rescaling: _rescaling,
    layers.Activation: _activation,
    layers.ReLU: _relu,
    layers.LeakyReLU: _relu,
    layers.ELU: _elu,
    layers.MaxPooling1D: _pool,
    layers.MaxPooling2D: _pool,
    layers.AveragePooling1D: _pool,
    layers.AveragePooling2D: _pool,
    layers.GlobalMaxPooling1D: _global_pool,
    layers.GlobalMaxPooling2D: _global_pool,
    layers.GlobalAveragePooling1D: _global_pool,
    layers.GlobalAveragePooling2D: _global_pool,
    layers.ZeroPadding1D: _pad,
    layers.ZeroPadding2D: _pad,
    layers.Add: _alone("add"),
    layers.Concatenate: _alone("concatenate"),
    layers.Flatten: _alone("flatten"),
    layers.Reshape: _alone("flatten"),
    layers.Softmax: _alone("softmax"),
}
