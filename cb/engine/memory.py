"""Memory plan: which values share memory, one after the other.

A buffer is reused by values of the same geometry and size only, so that the
zeros around an image, set once, stay, and as soon as no later step reads it, so
that a tile keeps to few buffers, which stay in the cache.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator

from cb.engine.fusion import Product
from cb.engine.fusion import Step
from cb.engine.layout import LANES
from cb.engine.layout import Layout
from cb.engine.layout import Split


def reads(step: Step | Split) -> Iterator[int]:
    """Yield the values that a step reads."""
    if isinstance(step, Split):
        yield step.source
    elif isinstance(step, Product):
        yield step.source
        if step.branch is not None:
            yield step.branch
    else:
        yield from step.inputs


def writes(step: Step | Split) -> Iterator[int]:
    """Yield the values that a step writes."""
    if isinstance(step, Product):
        yield from step.outputs
    else:
        yield step.target if isinstance(step, Split) else step.output


def places(
    layout: Layout, inputs: Iterable[int], outputs: Iterable[int]
) -> tuple[dict[int, int], int]:
    """Give every value a place.

    Args:
        layout: `Layout`.
        inputs: Values that are there at the beginning.
        outputs: Values that are needed at the end.

    Returns:
        Tuple of a dict of each value to the float at which its first plane
        begins, and the number of floats in all.
    """
    last = {
        value: number
        for number, step in enumerate(layout.steps)
        for value in (*reads(step), *writes(step))
    }
    last.update(dict.fromkeys(outputs, len(layout.steps)))
    splits = {s.target for s in layout.steps if isinstance(s, Split)}
    found: dict[int, int] = {}
    free: dict[tuple, list[int]] = collections.defaultdict(list)
    # Sums of the first positions may read before their plane.
    size = LANES

    def key(value):
        # An image may lack the last row or column of one of its phases.
        own = value if value in splits else None
        return layout.geometry[value], layout.shapes[value], own

    def place(value):
        nonlocal size
        if value in found:
            return
        if free[key(value)]:
            found[value] = free[key(value)].pop()
            return
        found[value] = size
        geometry = layout.geometry[value]
        floats = layout.shapes[value][2] * geometry.plane
        if geometry.points:
            # Sums of one image are written 16 at a time, wherever their part
            # of a concatenation begins. The part after it is written later.
            floats += LANES - 1
        size += -(-floats // LANES) * LANES

    for value in inputs:
        place(value)
    for number, step in enumerate(layout.steps):
        for value in writes(step):
            place(value)
        for value in {*reads(step), *writes(step)}:
            if last[value] == number:
                free[key(value)].append(found[value])
    # Sums of the last positions may read behind their plane.
    largest = max(geometry.plane for geometry in layout.geometry.values())
    return found, size + largest + LANES
