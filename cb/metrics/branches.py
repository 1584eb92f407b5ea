"""What residual blocks add to their shortcuts, as the source records it."""

import re

import tensorflow as tf

from cb.metrics.taps import Call
from cb.metrics.taps import Point
from cb.metrics.taps import output_points

NORM = re.compile(r"(block_\d+)_norm_2")
EPSILON = 1e-6


def branch_points(calls: list[Call]) -> list[Point]:
    """Return the branches of residual blocks before the addition.

    Each is scaled by what its two normalizations amplify gradients with:
    one over the standard deviations of both convolutions, taken over all
    their outputs at once. So the activations depend on which examples come
    together.

    Args:
        calls: List of `Call` of one trace of a `bundle_resnet`.

    Returns:
        List of `Point`, named after the blocks, in their order.
    """
    outputs = {call.layer.name: call.outputs[0] for call in calls}
    blocks = [
        match[1]
        for match in map(NORM.fullmatch, outputs)
        if match and f"{match[1]}_add" in outputs
    ]
    branches = output_points(calls, [f"{block}_norm_2" for block in blocks])
    return [
        Point(block, _unnormalized(outputs, block, point), point.consumers)
        for block, point in zip(blocks, branches, strict=True)
    ]


def _unnormalized(outputs, block: str, point: Point) -> tf.Tensor:
    branch = tf.cast(point.activations, tf.float32)
    for number in (2, 1):
        convolved = tf.cast(outputs[f"{block}_conv_{number}"], tf.float32)
        variance = tf.math.reduce_variance(convolved)
        branch = branch * tf.math.rsqrt(variance + EPSILON)
    return branch
