"""Table of the compaction rules of layers."""

import keras
import numpy as np

from cb.export.graph import Call
from cb.export.graph import Value
from cb.export.linear_rules import Depthwise
from cb.export.linear_rules import Linear
from cb.export.linear_rules import Separable
from cb.export.linear_rules import Transposed
from cb.export.rules import Channelwise
from cb.export.rules import Concatenation
from cb.export.rules import Flattening
from cb.export.rules import Function
from cb.export.rules import Joining
from cb.export.rules import Merging
from cb.export.rules import Normalization
from cb.export.rules import Padding
from cb.export.rules import Reshaping
from cb.export.rules import Rule
from cb.export.rules import Slopes
from cb.export.rules import elementwise
from cb.layers import GhostBatchNormalization

_NAMES = {
    Linear: "Dense Conv1D Conv2D Conv3D",
    Transposed: "Conv1DTranspose Conv2DTranspose Conv3DTranspose",
    Separable: "SeparableConv1D SeparableConv2D",
    Depthwise: "DepthwiseConv1D DepthwiseConv2D",
    Normalization: "BatchNormalization",
    Function: "Activation ReLU LeakyReLU ELU Rescaling",
    Slopes: "PReLU",
    Channelwise: (
        "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D "
        "GaussianDropout GaussianNoise AlphaDropout ActivityRegularization "
        "Identity RepeatVector Permute Cropping1D Cropping2D Cropping3D "
        "UpSampling1D UpSampling2D UpSampling3D MaxPooling1D MaxPooling2D "
        "MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D "
        "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D "
        "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D"
    ),
    Padding: "ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    Merging: "Add Average Maximum Minimum Multiply Subtract",
    Concatenation: "Concatenate",
    Flattening: "Flatten",
    Reshaping: "Reshape",
}
# Exact classes only: a subclass may compute anything.
_RULES: dict[type, type[Rule]] = {
    getattr(keras.layers, name): rule
    for rule, names in _NAMES.items()
    for name in names.split()
}
_RULES[GhostBatchNormalization] = Normalization


def rule(call: Call) -> Rule:
    """Return the rule for a call; plain `Rule` for an unknown layer."""
    found = _RULES.get(type(call.operation), Rule)
    reason = _obstacle(call, found)
    if reason:
        return Rule(call, reason)
    rank = len(call.results[0].shape)
    if found is Concatenation and call.operation.axis % rank != rank - 1:
        found = Joining
    if found is Reshaping and rank == 2:
        found = Flattening
    return found(call)


def _obstacle(call: Call, found: type[Rule]) -> str:
    """Return why the rule of a class does not apply to a call."""
    layer = call.operation
    if found is Rule:
        return f"{call.kind} is not known"
    # The target shape of a reshape is part of the layer; its calls may differ.
    if call.shared and (call.operation.variables or found is Reshaping):
        return "called more than once"
    if call.kwargs.get("training"):
        return "called with `training=True`"
    if any(isinstance(v, Value) for v in call.kwargs.values()):
        return "called with tensors by name"
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return "channels come first"
    if getattr(layer, "groups", 1) != 1:
        return "groups of channels"
    lora = getattr(layer, "lora_enabled", False)
    if lora or getattr(layer, "quantization_mode", None):
        return "quantized or with LoRA"
    if not all(v.channels for v in [*call.sources, *call.results]):
        return "the number of channels is not fixed"
    return _unfit(call, found)


def _unfit(call: Call, found: type[Rule]) -> str:
    """Return why the rule does not cover the arguments of a layer."""
    layer, (source, *_), (result,) = call.operation, call.sources, call.results
    channels, last = source.channels, len(source.shape) - 1
    if found is Normalization and layer.axis not in (-1, last):
        return "normalizes another axis"
    if found is Function and not elementwise(
        getattr(layer, "activation", keras.activations.linear)
    ):
        return "the activation may mix channels"
    scaled = call.kind == "Rescaling"
    if scaled and not np.size(layer.scale) == np.size(layer.offset) == 1:
        return "scales channels differently"
    if found is Slopes and tuple(layer.alpha.shape[:-1]).count(1) != (
        len(layer.alpha.shape) - 1
    ):
        return "slopes differ by position"
    if found is Merging and any(v.channels != channels for v in call.sources):
        return "broadcasts channels"
    if call.kind == "Permute" and layer.dims[-1] != len(layer.dims):
        return "moves the channels"
    if found is Reshaping and len(result.shape) > 2:
        return "" if result.channels == channels else "mixes channels"
    if found in (Flattening, Reshaping) and None in source.shape[1:]:
        return "the size of the images is not fixed"
    return ""
