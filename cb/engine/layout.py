"""Layout: where the positions of an image lie in memory.

Channels are outermost. A channel is a plane of cells, one for each position,
row after row, and a cell holds one number of each image of a tile. A row ends
with cells of zeros that are the right border of an image and the left border of
its next row; rows of zeros lie above and below. So all inputs of a sum lie at
the same distances from every position, whatever the border, and a sum at many
positions is one of vectors. Values between which this must hold share a
geometry. Strides are taken out first: an image is split into its phases, as
many images as a stride has places, and a convolution of those has none.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np

from cb.engine.fusion import Fused
from cb.engine.fusion import Product
from cb.engine.fusion import Step
from cb.engine.graph import Shape
from cb.kernels.vectors import WIDEST

# Floats in a vector of 512 bits; planes and origins are multiples of it.
LANES = 16
# Floats that a block of sums may read at a time, three quarters of a cache of
# 32 kB, and the entries of a sum for which it is worth being kept.
_CACHED, _ENTRIES = 6 * 1024, 12
# A value and the rows and columns between the positions that are read.
Strided = tuple[int, tuple[int, int]]


@dataclasses.dataclass(eq=False)
class Split:
    """Division of an image into its phases.

    Attributes:
        source: Integer, a value.
        target: Integer, the value of its phases, those of a channel after
            each other.
        strides: Tuple of the rows and columns between positions of a phase.
        phases: List of tuples, the first row and column of each phase.
    """

    source: int
    target: int
    strides: tuple[int, int]
    phases: list[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Entries:
    """The nonzero weights of a product, those of an output after the other.

    Attributes:
        starts: Integer array `(outputs + 1,)`, where those of each begin.
        channels: Integer array, the channel that each is multiplied with.
        rows: Integer array, how many rows below the output it lies.
        columns: Integer array, how many columns to the right.
        values: Float array, the weights.
    """

    starts: np.ndarray
    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Where the positions of an image lie in a plane.

    Attributes:
        origin: Integer, floats before the first position.
        pitch: Integer, cells of a row.
        plane: Integer, floats of a plane.
        points: Boolean, whether there is one position and no border.
    """

    origin: int
    pitch: int
    plane: int
    points: bool


@dataclasses.dataclass(frozen=True)
class Layout:
    """Steps without strides, and where their values lie.

    Attributes:
        steps: List of `Product`, `Split` and nodes.
        entries: Dict of every product to its `Entries`.
        shapes: Dict of every value to its shape.
        geometry: Dict of every value to its `Geometry`.
    """

    steps: list[Step | Split]
    entries: dict[Product, Entries]
    shapes: dict[int, Shape]
    geometry: dict[int, Geometry]


def lay_out(fused: Fused, images: int) -> Layout:
    """Choose the layout of all values.

    Args:
        fused: `Fused`.
        images: Integer, how many images are in a tile.

    Returns:
        `Layout`.
    """
    shapes = dict(fused.shapes)
    steps: list[Step | Split] = []
    entries: dict[Product, Entries] = {}
    wanted = _phases(fused)
    splits: dict[Strided, Split] = {}
    for step in fused.steps:
        if isinstance(step, Product):
            phases = [(0, 0)]
            if step.options["strides"] != (1, 1):
                key = step.source, step.options["strides"]
                if key not in splits:
                    splits[key] = _split(*key, wanted[key], shapes)
                    steps.append(splits[key])
                phases = splits[key].phases
                step = dataclasses.replace(step, source=splits[key].target)
            for part in _parts(step, shapes, images):
                entries[part] = _entries(part, phases)
                steps.append(part)
        else:
            steps.append(step)
    groups = _groups(shapes, entries)
    geometry: dict[int, Geometry] = {}
    for values in groups:
        products = [step for step in entries if step.source in values]
        found = _geometry(
            [shapes[value] for value in values],
            [
                (entries[step], shapes[step.source], shapes[step.outputs[0]])
                for step in products
            ],
            images,
        )
        geometry.update(dict.fromkeys(values, found))
    return Layout(steps, entries, shapes, geometry)


def _parts(
    step: Product, shapes: dict[int, Shape], images: int
) -> Iterator[Product]:
    """Yield products of some input channels each, which add up to a step.

    What a block of their sums reads stays in the first cache: all outputs of
    the block are computed from it before the next channels.

    Args:
        step: `Product`.
        shapes: Dict of every value to its shape; gets that of the sums.
        images: Integer, how many images are in a tile.
    """
    height, _, inputs, outputs = step.kernel.shape
    rows, columns, _ = shapes[step.outputs[0]]
    read = min(rows * columns * images, WIDEST * LANES)
    read += (height - 1) * (columns + 1) * images
    # Between two parts the sums are written and read again.
    entries = np.count_nonzero(step.kernel) / (inputs * outputs)
    number = int(min(inputs * read // _CACHED, inputs * entries // _ENTRIES))
    # Dense layers run as they are: in tiles of images they became slower.
    if number < 2 or step.options["groups"] > 1 or rows * columns == 1:
        yield step
        return
    sums = max(shapes) + 1
    shapes[sums] = (rows, columns, outputs)
    edges = [inputs * n // number for n in range(number + 1)]
    for n, (first, last) in enumerate(itertools.pairwise(edges)):
        kernel = np.zeros_like(step.kernel)
        kernel[:, :, first:last] = step.kernel[:, :, first:last]
        fields: dict[str, Any] = {"kernel": kernel}
        if n:
            fields |= {"branch": sums, "bias": np.zeros_like(step.bias)}
        if n < number - 1:
            fields |= dict.fromkeys(("second", "scale", "shift", "activation"))
            fields |= {"target": sums, "place": 0}
        yield dataclasses.replace(step, **fields)


def _phases(fused: Fused) -> dict[Strided, list[tuple[int, int]]]:
    """Return the phases that products need of each source and stride."""
    found: dict[Strided, set[tuple[int, int]]] = collections.defaultdict(set)
    for step in fused.steps:
        if isinstance(step, Product):
            strides = step.options["strides"]
            rows, columns = (
                {int(one) % stride for one in side}
                for side, stride in zip(_sides(step), strides, strict=True)
            )
            found[step.source, strides].update(itertools.product(rows, columns))
    return {key: sorted(phases) for key, phases in found.items()}


def _split(source, strides, phases, shapes: dict[int, Shape]) -> Split:
    height, width, channels = shapes[source]
    target = max(shapes) + 1
    shapes[target] = (
        -(-height // strides[0]),
        -(-width // strides[1]),
        channels * len(phases),
    )
    return Split(source, target, strides, phases)


def _sides(step: Product) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns that a kernel reaches from an output."""
    rows, columns = (
        np.arange(size) * dilation - padding[0]
        for size, dilation, padding in zip(
            step.kernel.shape[:2],
            step.options["dilation"],
            step.options["padding"],
            strict=True,
        )
    )
    return rows, columns


def _entries(step: Product, phases: list[tuple[int, int]]) -> Entries:
    outputs = step.kernel.shape[3]
    kernel = step.kernel.transpose(3, 2, 0, 1)
    where = np.nonzero(kernel)
    output, channel = where[0], where[1]
    group = outputs // step.options["groups"]
    channel = channel + output // group * kernel.shape[1]
    sides, strides = _sides(step), step.options["strides"]
    rows, columns = sides[0][where[2]], sides[1][where[3]]
    table = np.zeros(strides, "int64")
    for number, phase in enumerate(phases):
        table[phase] = number
    phase = table[rows % strides[0], columns % strides[1]]
    counts = np.bincount(output, minlength=outputs)
    return Entries(
        np.concatenate([[0], np.cumsum(counts)]),
        channel * len(phases) + phase,
        rows // strides[0],
        columns // strides[1],
        kernel[where].astype("float32"),
    )


def _groups(
    shapes: dict[int, Shape], entries: dict[Product, Entries]
) -> list[set[int]]:
    """Divide all values into sets that share a geometry."""
    groups = {value: {value} for value in shapes}
    for step in entries:
        values = [step.source, *step.outputs]
        if step.branch is not None:
            values.append(step.branch)
        joined = set().union(*(groups[value] for value in values))
        groups.update(dict.fromkeys(joined, joined))
    return [*{id(group): group for group in groups.values()}.values()]


def _geometry(
    shapes: Sequence[Shape],
    reads: Sequence[tuple[Entries, Shape, Shape]],
    images: int,
) -> Geometry:
    """Return the geometry of values that are read by some products."""
    above = before = after = 0
    height = max(shape[0] for shape in shapes)
    width = max(shape[1] for shape in shapes)
    for entries, source, target in reads:
        above = max(above, -entries.rows.min(initial=0))
        before = max(before, -entries.columns.min(initial=0))
        height = max(height, target[0] + entries.rows.max(initial=0))
        reached = target[1] + entries.columns.max(initial=0)
        after = max(after, reached - source[1])
    if height == width == 1 and above == before == after == 0:
        # Whole vectors are stored, and the next channel may be another
        # thread's.
        return Geometry(0, 1, 1 if images == 1 else _whole(images), True)
    pitch = int(width + max(before, after))
    origin = _whole((above * pitch + before) * images)
    plane = _whole(origin + (height * pitch + before) * images + LANES)
    return Geometry(origin, pitch, plane, False)


def _whole(floats) -> int:
    return int(-(-floats // LANES) * LANES)
