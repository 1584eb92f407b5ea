"""The weights whose size decides what a training step can change."""

from collections.abc import Iterable

import keras
import tensorflow as tf

from cb.bundles.entropy import amplitude
from cb.layers.masked import Masked
from cb.layers.traversal import ordered_layers


def kernels(layer: keras.layers.Layer) -> list:
    """Return what inputs of a layer are multiplied with, masks applied.

    Args:
        layer: Keras layer. Its sublayers are not looked at.

    Returns:
        List of float tensors or variables of rank 2 and more.
    """
    return [
        _effective(layer, variable)
        for variable in layer._trainable_variables
        if len(variable.shape) >= 2
    ]


def has_kernels(layer: keras.layers.Layer) -> bool:
    """Say whether a layer multiplies its inputs with weights of its own."""
    return any(len(v.shape) >= 2 for v in layer._trainable_variables)


def amplitude_of_layers(layers: Iterable[keras.layers.Layer]) -> tf.Tensor:
    """Return the largest absolute weight in the kernels of some layers.

    Args:
        layers: Keras layers that consume the same activations.

    Returns:
        Float32 scalar tensor.
    """
    return amplitude(kernel for layer in layers for kernel in kernels(layer))


def amplitude_of_model(model: keras.Model) -> tf.Tensor:
    """Return the largest absolute trainable weight of any kind.

    The published choice: biases and the scales of normalizations count too,
    so that with batch normalization it is 1 at least at first.

    Args:
        model: Keras model.

    Returns:
        Float32 scalar tensor.
    """
    return amplitude(
        _effective(layer, variable)
        for layer in ordered_layers(model)
        for variable in layer._trainable_variables
        if variable.trainable
    )


def _effective(layer, variable):
    if isinstance(layer, Masked) and variable is layer.raw_kernel:
        return layer.kernel
    return variable
