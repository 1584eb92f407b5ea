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
    layout: Layout,
    inputs: Iterable[int],
    outputs: Iterable[int],
    images: int,
) -> tuple[dict[int, int], int]:
    """Give every value a place.

    Args:
        layout: `Layout`.
        inputs: Values that are there at the beginning.
        outputs: Values that are needed at the end.
        images: Integer, how many images are in a tile.

    Returns:
        Tuple of a dict of each value to the float at which its first plane
        begins, and the number of floats in all.
    """
    uses: dict[int, list[int]] = {value: [-1] for value in inputs}
    for number, step in enumerate(layout.steps):
        for value in (*reads(step), *writes(step)):
            uses.setdefault(value, []).append(number)
    for value in outputs:
        uses[value].append(len(layout.steps))
    times = {value: (min(when), max(when)) for value, when in uses.items()}
    sizes = {value: _floats(layout, value) for value in times}
    same: dict[int, int] = {}
    if images == 1:
        # To clear borders of one image takes a tenth of all time.
        same = _alike(layout, times)
        for value, other in same.items():
            times[other] = -1, len(layout.steps)
            sizes[other] = max(sizes[other], sizes[value])
    memory, found = Memory(), {}
    # The largest first, so that others fill what is left between them.
    for value in sorted(times, key=lambda value: -sizes[value]):
        if same.get(value, value) == value:
            # Sums of the first positions may read before their plane, and
            # those of the last ones behind it.
            place = memory.place(4 * sizes[value], *times[value])
            found[value] = LANES + place // 4
    for value, other in same.items():
        found[value] = found[other]
    largest = max(geometry.plane for geometry in layout.geometry.values())
    return found, memory.size // 4 + largest + 2 * LANES


def _alike(layout: Layout, times: dict[int, tuple[int, int]]) -> dict[int, int]:
    """Return bordered values that follow each other at the place of the first.

    Args:
        layout: `Layout`.
        times: Dict of every value to the first and the last step that uses it.

    Returns:
        Dict of a value to another of its geometry, or itself.
    """
    ends: dict[tuple, dict[int, int]] = {}
    found = {}
    kinds = _kinds(layout)
    for value in sorted({*bordered(layout)}, key=times.__getitem__):
        first, last = times[value]
        places_of_kind = ends.setdefault(kinds[value], {})
        free = (one for one, end in places_of_kind.items() if end < first)
        found[value] = next(free, value)
        places_of_kind[found[value]] = last
    return found


def _kinds(layout: Layout) -> dict[int, tuple]:
    """Return for every value what those have that leave its borders alone."""
    found: dict[int, tuple] = {
        value: (geometry, layout.shapes[value][:2])
        for value, geometry in layout.geometry.items()
    }
    for step in layout.steps:
        if isinstance(step, Split):
            # An image may lack the last row or column of one of its phases.
            source = layout.shapes[step.source][:2]
            found[step.target] += (source, step.strides, *step.phases)
    return found


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
    around, kinds = {*bordered(layout)}, _kinds(layout)
    order = [*inputs, *(v for step in layout.steps for v in writes(step))]
    result: set[int] = set()
    # What was written last, by place. Memory is zero at first, and what the
    # last steps leave is there when the first ones run again.
    written: list[tuple[int, int, tuple]] = []
    for value in (*order, *order):
        start = found[value]
        end = start + _floats(layout, value)
        # Who writes an image leaves the zeros around it.
        key: tuple = (start, *kinds[value])
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
            key = (*key, value)
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
