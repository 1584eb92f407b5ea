"""The largest weight, which bounds what a training step can change."""

from collections.abc import Iterable

import keras
import tensorflow as tf

from cb.bundles.entropy import amplitude
from cb.layers.computed_kernels import cells
from cb.layers.computed_kernels import effective_weights
from cb.layers.traversal import ordered_layers


def magnitude_of_layers(layers: Iterable[keras.layers.Layer]) -> tf.Tensor:
    """Return the largest absolute weight in the kernels of some layers.

    Args:
        layers: Built Keras layers that consume the same activations; layers
            inside them are not looked at.

    Returns:
        Float32 scalar tensor.
    """
    return amplitude(
        weight
        for layer in layers
        for part in (cells(layer) or [layer])
        for weight in effective_weights(part)
        if len(weight.shape) >= 2
    )


def magnitude_of_model(model: keras.Model) -> tf.Tensor:
    """Return the largest absolute trainable weight of any kind.

    The published choice: biases and the scales of normalizations count too,
    so that with batch normalization it is initially at least 1.

    Args:
        model: Built Keras model.

    Returns:
        Float32 scalar tensor.
    """
    return amplitude(
        weight
        for layer in ordered_layers(model)
        for variable, weight in zip(
            layer._trainable_variables, effective_weights(layer), strict=True
        )
        if variable.trainable
    )
