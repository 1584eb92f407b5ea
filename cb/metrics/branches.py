"""Branches of residual blocks before the addition, as in the source."""

import re

import keras
import tensorflow as tf

from cb.layers.calls import RecordedCall
from cb.metrics.activations import Activation
from cb.metrics.activations import activations_of

# Names in the zoo of the layer that adds and of the convolutions before it.
ADDITION = re.compile(r"(block_\d+)(_add)?")
CONVOLUTION = re.compile(r"(block_\d+)_conv_\d+")
EPSILON = 1e-6


def branch_activations(calls: list[RecordedCall]) -> list[Activation]:
    """Return the branches of residual blocks before the addition.

    Each is scaled by the factor with which its normalizations amplify
    gradients: one over the standard deviations of its convolutions, taken
    over all their outputs at once. So the activations depend on which
    examples come together.

    Args:
        calls: List of `RecordedCall` of one trace.

    Returns:
        List of `Activation`, named after the blocks, in their order.
    """
    branches = [
        (match[1], call.inputs[0])
        for call in calls
        if isinstance(call.layer, keras.layers.Add)
        and (match := ADDITION.fullmatch(call.layer.name))
    ]
    return [
        branch._replace(tensor=_unnormalized(branch, calls))
        for branch in activations_of(branches, calls)
    ]


def _unnormalized(
    activation: Activation, calls: list[RecordedCall]
) -> tf.Tensor:
    branch = tf.cast(activation.tensor, tf.float32)
    # The last convolution first, as in the source.
    for call in reversed(calls):
        match = CONVOLUTION.fullmatch(call.layer.name)
        if match and match[1] == activation.name:
            convolved = tf.cast(call.outputs[0], tf.float32)
            variance = tf.math.reduce_variance(convolved)
            branch = branch * (1.0 / tf.sqrt(variance + EPSILON))
    return branch
