"""Memory plans: values lie where others did that no later step reads.

So a network keeps to little memory, which stays in the cache. Sums read zeros
around an image; where another value lay there before, they are written again.
"""

from collections.abc import Iterable
from collections.abc import Iterator

from cb.engine.fusion import Product
from cb.engine.fusion import Step
from cb.engine.layout import LANES
from cb.engine.layout import Layout
from cb.engine.layout import Split

_LINE = 64


class Memory:
    """Places for values, which are free again after their last use.

    Attributes:
        size: Integer, the bytes that are needed.
    """

    def __init__(self):
        self._blocks: list[tuple[int, int, int, int]] = []
        self.size = 0

    def place(self, size: int, first: int, last: int) -> int:
        """Return the first byte of a value.

        Args:
            size: Integer, its bytes.
            first: Integer, the first step that uses it.
            last: Integer, the last one.
        """
        size = -(-size // _LINE) * _LINE
        alive = sorted(
            (start, end)
            for start, end, begin, finish in self._blocks
            if begin <= last and finish >= first
        )
        found = 0
        for start, end in alive:
            if found + size <= start:
                break
            found = max(found, end)
        self._blocks.append((found, found + size, first, last))
        self.size = max(self.size, found + size)
        return found


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
    inputs, end = [*inputs], len(layout.steps)
    uses: dict[int, list[int]] = {value: [-1] for value in inputs}
    for number, step in enumerate(layout.steps):
        for value in (*reads(step), *writes(step)):
            uses.setdefault(value, []).append(number)
    for value in outputs:
        uses[value].append(end)
    memory = Memory()
    # The largest first, so that others fill what is left between them.
    order = sorted(uses, key=lambda value: -_floats(layout, value))
    # Sums of the first positions may read before their plane, and those of
    # the last ones behind it.
    found = {
        value: LANES
        + memory.place(
            4 * _floats(layout, value), min(uses[value]), max(uses[value])
        )
        // 4
        for value in order
    }
    largest = max(geometry.plane for geometry in layout.geometry.values())
    return found, memory.size // 4 + largest + 2 * LANES


def _floats(layout: Layout, value: int) -> int:
    geometry = layout.geometry[value]
    floats = layout.shapes[value][2] * geometry.plane
    if geometry.points:
        # Sums of one image are written 16 at a time, wherever their part of a
        # concatenation begins. The part after it is written later.
        floats += LANES - 1
    return floats


def overwritten(
    layout: Layout, found: dict[int, int], inputs: Iterable[int]
) -> set[int]:
    """Return the values whose borders are read and were something else.

    Args:
        layout: `Layout`.
        found: Dict of every value to its place.
        inputs: Values that are there at the beginning.
    """
    around, inputs = {*bordered(layout)}, [*inputs]
    order = [*inputs, *(v for step in layout.steps for v in writes(step))]
    splits = {s.target for s in layout.steps if isinstance(s, Split)}
    result: set[int] = set()
    # What was written last, by place. Memory is zero at first, and what the
    # last steps leave is there when the first ones run again.
    written: list[tuple[int, int, tuple]] = []
    for value in (*order, *order):
        start = found[value]
        end = start + _floats(layout, value)
        # Who writes an image leaves the zeros around it.
        key: tuple = (start, layout.geometry[value], layout.shapes[value][:2])
        if value in splits:
            # An image may lack the last row or column of one of its phases.
            key = (*key, value)
        kept, changed = [], False
        for begin, finish, other in written:
            changed |= begin < end and finish > start and other != key
            if begin < start:
                kept.append((begin, min(finish, start), other))
            if finish > end:
                kept.append((max(begin, end), finish, other))
        if changed and value in around:
            result.add(value)
        elif changed:
            # Nothing is known of its borders.
            key = (*key, value, "unknown")
        written = [*kept, (start, end, key)]
    return result


def bordered(layout: Layout) -> Iterator[int]:
    """Yield the values around which zeros are read."""
    for step, entries in layout.entries.items():
        source, target = (
            layout.shapes[value] for value in (step.source, step.outputs[0])
        )
        wider = target[0] > source[0] or target[1] > source[1]
        if wider or entries.rows.any() or entries.columns.any():
            yield step.source
    for one in layout.steps:
        if isinstance(one, Split):
            yield one.target
