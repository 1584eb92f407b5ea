"""What residual blocks add to their shortcuts, as the source records it."""

import re

import keras
import tensorflow as tf

from cb.metrics.taps import Call
from cb.metrics.taps import Point
from cb.metrics.taps import tensor_points

# The zoo names layers so: what adds, and the convolutions of the branch.
ADDITION = re.compile(r"(block_\d+)(_add)?")
CONVOLUTION = re.compile(r"(block_\d+)_conv_\d+")
EPSILON = 1e-6


def branch_points(calls: list[Call]) -> list[Point]:
    """Return the branches of residual blocks before the addition.

    Each is scaled by what its normalizations amplify gradients with: one
    over the standard deviations of its convolutions, taken over all their
    outputs at once. So the activations depend on which examples come
    together.

    Args:
        calls: List of `Call` of one trace.

    Returns:
        List of `Point`, named after the blocks, in their order.
    """
    branches = [
        (match[1], call.inputs[0])
        for call in calls
        if isinstance(call.layer, keras.layers.Add)
        and (match := ADDITION.fullmatch(call.layer.name))
    ]
    return [
        point._replace(activations=_unnormalized(point, calls))
        for point in tensor_points(branches, calls)
    ]


def _unnormalized(point: Point, calls: list[Call]) -> tf.Tensor:
    branch = tf.cast(point.activations, tf.float32)
    for call in calls:
        match = CONVOLUTION.fullmatch(call.layer.name)
        if match and match[1] == point.name:
            convolved = tf.cast(call.outputs[0], tf.float32)
            variance = tf.math.reduce_variance(convolved)
            branch = branch * tf.math.rsqrt(variance + EPSILON)
    return branch
