"""Depth first: a convolution and the depthwise one after it, in turns.

A depthwise convolution needs one channel of its input for one of its outputs,
so that some channels can be computed and used before the next ones take their
place, in the cache. In mobile networks values between the two are the largest.
"""

import collections
import dataclasses
from collections.abc import Iterator

from cb.engine.fusion import Fused
from cb.engine.fusion import Product
from cb.engine.fusion import Step
from cb.engine.graph import Shape
from cb.engine.memory import reads

# Bytes between the two convolutions, a quarter of a usual second cache.
_KEPT = 2**18


def depth_first(fused: Fused, images: int) -> Fused:
    """Divide products and depthwise ones after them into groups of channels.

    Args:
        fused: `Fused`.
        images: Integer, how many images are in a tile.

    Returns:
        `Fused` that computes the same.
    """
    shapes = dict(fused.shapes)
    # How many steps read a value; outputs of the network are read once more.
    users = collections.Counter(fused.outputs)
    for step in fused.steps:
        users.update(reads(step))
    makers = {
        step.outputs[0]: step
        for step in fused.steps
        if isinstance(step, Product) and len(step.outputs) == 1
    }
    pairs: dict[Product, Product] = {}
    for step in fused.steps:
        if isinstance(step, Product) and users[step.source] == 1:
            maker = makers.get(step.source)
            if maker and _is_pair(maker, step, shapes):
                pairs[step] = maker
    taken = {*pairs.values()}
    # A step between two others is done with the one that follows.
    pairs = {step: one for step, one in pairs.items() if step not in taken}
    taken = {*pairs.values()}
    steps: list[Step] = []
    for step in fused.steps:
        if isinstance(step, Product) and step in pairs:
            steps += _in_turns(pairs[step], step, shapes, images)
        elif step not in taken:
            steps.append(step)
    return dataclasses.replace(fused, steps=steps, shapes=shapes)


def _is_pair(maker: Product, step: Product, shapes: dict[int, Shape]) -> bool:
    """Return whether channels of a product lead to some of the next alone."""
    channels = shapes[step.source][2]
    return (
        maker.branch is None
        and maker.options["groups"] == 1
        and len(maker.bias) == channels
        and step.branch is None
        and step.second is None
        and step.options["groups"] == channels
    )


def _in_turns(
    maker: Product, step: Product, shapes: dict[int, Shape], images: int
) -> Iterator[Product]:
    """Yield parts of two products, those of some channels after each other."""
    height, width, channels = shapes[step.source]
    floats = height * width * channels * images
    number = min(channels, -(-4 * floats // _KEPT))
    if number == 1:
        yield maker
        yield step
        return
    each = len(step.bias) // channels
    for n in range(number):
        first, last = channels * n // number, channels * (n + 1) // number
        value = max(shapes) + 1
        shapes[value] = (height, width, last - first)
        part = _some(maker, first, last)
        if maker.second is None:
            yield dataclasses.replace(part, target=value)
        else:
            yield dataclasses.replace(part, second=value)
        part = _some(step, each * first, each * last)
        options = {**step.options, "groups": last - first}
        yield dataclasses.replace(
            part,
            source=value,
            options=options,
            place=step.place + each * first,
        )


def _some(step: Product, first: int, last: int) -> Product:
    """Return the part of a product that computes some of its outputs."""
    scale, shift = step.scale, step.shift
    return dataclasses.replace(
        step,
        kernel=step.kernel[..., first:last],
        bias=step.bias[first:last],
        scale=None if scale is None else scale[first:last],
        shift=None if shift is None else shift[first:last],
    )
