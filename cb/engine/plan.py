"""Plans: everything that compiled code needs to run a network."""

import dataclasses
import itertools
from typing import Any

import numpy as np

from cb.engine.depth_first import depth_first
from cb.engine.fusion import Fused
from cb.engine.fusion import Product
from cb.engine.graph import Node
from cb.engine.lanes import Lanes
from cb.engine.layout import LANES
from cb.engine.layout import Layout
from cb.engine.layout import Split
from cb.engine.layout import lay_out
from cb.engine.memory import overwritten
from cb.engine.memory import places
from cb.kernels import network
from cb.kernels import planes
from cb.kernels.threads import threads
from cb.kernels.vectors import WIDEST

# Products of vectors from which a thread is worth its while.
_LEAST = 4000
_KINDS = {
    "flatten": planes.FLATTEN,
    "softmax": planes.SOFTMAX,
}
_POOLS = {
    ("pool", "max"): planes.MAX_POOL,
    ("pool", "average"): planes.AVERAGE_POOL,
    ("global_pool", "max"): planes.GLOBAL_MAX,
    ("global_pool", "average"): planes.GLOBAL_AVERAGE,
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """The arguments of `run` that do not change.

    Attributes:
        images: Integer, how many images are in a tile.
        arrays: Tuple of what runs, first a line for each operation. Of floats:
            `OPERATION` array; int64 array, the first entry of
            every row, and the end; int32 array, how many floats from an output
            the input of each entry lies; float array, the entries; float array
            `(3, rows)`: bias, and scale and shift of the second output; int64
            array `(n, 4)`: first float, number of vectors and, as bits, the
            positions of the blocks of an image, or first row and column of
            phases; and those of `Lanes`.
        floats: Integer, the size of the memory.
        code: Module with `run` and `run_together`, compiled.
    """

    images: int
    arrays: tuple[Any, ...]
    floats: int
    code: Any = network


def plan(fused: Fused, images: int) -> Plan:
    """Make the plan of a network.

    Args:
        fused: `Fused`.
        images: Integer, how many images are in a tile.

    Returns:
        `Plan`.
    """
    fused = depth_first(fused, images)
    return _Planner(fused, lay_out(fused, images), images).plan()


class _Planner:
    def __init__(self, fused: Fused, layout: Layout, images: int):
        self._fused = fused
        self._layout = layout
        self._images = images
        self._places, self._floats = places(
            layout, fused.inputs, fused.outputs, images
        )
        self._cleared = overwritten(layout, self._places, fused.inputs)
        self._operations: list[dict[str, Any]] = []
        self._blocks: list[tuple[int, ...]] = []
        self._ranges: dict[tuple, tuple[int, int]] = {}
        self._rows = 0
        self._lanes = [Lanes.none()]

    def plan(self) -> Plan:
        """Return the plan."""
        self._load()
        for step in self._layout.steps:
            if isinstance(step, Product):
                self._product(step)
            elif isinstance(step, Split):
                self._split(step)
            else:
                self._node(step)
        self._store()
        return Plan(self._images, self._arrays(), self._floats)

    def _arrays(self) -> tuple[np.ndarray, ...]:
        operations = np.zeros(len(self._operations), planes.OPERATION)
        for number, fields in enumerate(self._operations):
            for name, value in fields.items():
                operations[name][number] = value
        entries = self._layout.entries
        counts = [np.diff(one.starts) for one in entries.values()]
        values = [one.values for one in entries.values()]
        starts = np.cumsum(_joined([np.zeros(1), *counts], "int64"))
        empty = np.zeros(0)
        return (
            operations,
            starts,
            _joined([empty, *map(self._offsets, entries)], "int32"),
            _joined([empty, *values], "float32"),
            _joined(
                [np.zeros((0, 3)), *map(_rows, entries)], "float32"
            ).T.copy(),
            np.array([*self._blocks, (0,) * 4], "int64"),
            *Lanes.joined(self._lanes),
        )

    def _add(self, kind: int, target: int | None, **fields) -> None:
        """Append an operation; set the fields that describe its target."""
        fields = {
            "source": -1,
            "second": -1,
            "branch": -1,
            "target": self._origin(target),
            "images": self._images,
            **fields,
        }
        fields.setdefault("chunk", fields["channels"])
        self._operations.append({"kind": kind, **fields})

    def _origin(self, value: int | None) -> int:
        """Return the place of the first position of a value."""
        if value is None:
            return -1
        return self._places[value] + self._layout.geometry[value].origin

    def _written(self, value: int) -> dict[str, int]:
        """Return the fields that describe a value."""
        geometry = self._layout.geometry[value]
        height, width, channels = self._layout.shapes[value]
        return {
            "height": height,
            "width": width,
            "channels": channels,
            "plane": geometry.plane,
            "pitch": geometry.pitch,
            "origin": geometry.origin,
            "clear": planes.TARGET * (value in self._cleared),
        }

    def _read(self, value: int) -> dict[str, int]:
        """Return the fields that describe the value that is read."""
        geometry = self._layout.geometry[value]
        height, width, _ = self._layout.shapes[value]
        return {
            "source": self._origin(value),
            "source_height": height,
            "source_width": width,
            "source_plane": geometry.plane,
            "source_pitch": geometry.pitch,
        }

    def _load(self) -> None:
        feature = 0
        for value in self._fused.inputs:
            fields = self._written(value)
            self._add(planes.LOAD, value, **fields, source=feature)
            feature += int(np.prod(self._layout.shapes[value]))

    def _store(self) -> None:
        feature = 0
        for value in self._fused.outputs:
            fields = self._written(value)
            origin = self._origin(value)
            fields["clear"] = 0
            self._add(planes.STORE, None, **fields, source=origin)
            self._operations[-1]["target"] = feature
            feature += int(np.prod(self._layout.shapes[value]))

    def _product(self, step: Product) -> None:
        target = step.outputs[0]
        geometry = self._layout.geometry[target]
        fields = self._written(target)
        channels = len(step.bias)
        dots = geometry.points and self._images == 1
        entries = self._layout.entries[step]
        if dots:
            groups = sum(len(one.counts) for one in self._lanes)
            self._lanes.append(Lanes.of(entries))
            blocks = groups, groups
        else:
            blocks = self._cover(fields)
        vectors = sum(self._blocks[n][1] for n in range(*blocks)) or 1
        work = vectors * len(entries.values)
        parts = max(1, min(threads(), work // _LEAST, channels))
        place = step.place * geometry.plane
        clear = planes.TARGET * (step.target in self._cleared)
        clear += planes.SECOND * (step.second in self._cleared)
        fields |= {
            "clear": clear,
            "channels": channels,
            "chunk": _whole(-(-channels // parts))
            if dots
            else -(-channels // parts),
            "source": self._origin(step.source),
            "second": self._origin(step.second),
            "branch": self._origin(step.branch),
            "first_row": self._rows,
            "first_block": blocks[0],
            "end_block": blocks[1],
            **_code(step.activation),
        }
        kind = planes.DOTS if dots else planes.PRODUCT
        self._add(kind, step.target, **fields)
        if step.target is not None:
            self._operations[-1]["target"] += place
        self._rows += channels

    def _cover(self, fields: dict[str, int]) -> tuple[int, int]:
        """Return the range of the blocks that cover an image."""
        images, row = self._images, fields["width"] * self._images
        key = fields["height"], fields["width"], fields["pitch"]
        if key not in self._ranges:
            first = len(self._blocks)
            pitch = fields["pitch"] * images
            if images % LANES:
                # Borders between rows are computed too, and become zero.
                size = row + (fields["height"] - 1) * pitch
                self._blocks += _blocks(0, np.arange(size) % pitch < row)
            else:
                for y in range(fields["height"]):
                    self._blocks += _blocks(y * pitch, np.ones(row, bool))
            self._ranges[key] = first, len(self._blocks)
        return self._ranges[key]

    def _offsets(self, step: Product) -> np.ndarray:
        """Return how many floats from an output its inputs lie."""
        entries = self._layout.entries[step]
        geometry = self._layout.geometry[step.source]
        cells = entries.rows * geometry.pitch + entries.columns
        return entries.channels * geometry.plane + cells * self._images

    def _split(self, step: Split) -> None:
        fields = self._written(step.target) | self._read(step.source)
        fields["channels"] = self._layout.shapes[step.source][2]
        first = len(self._blocks)
        self._blocks += [(*phase, 0, 0) for phase in step.phases]
        self._add(
            planes.SPLIT,
            step.target,
            **fields,
            first_block=first,
            end_block=len(self._blocks),
            stride_y=step.strides[0],
            stride_x=step.strides[1],
            chunk=-(-fields["channels"] // threads()),
        )

    def _node(self, node: Node) -> None:
        (source,) = node.inputs
        fields = self._written(node.output) | self._read(source)
        if node.kind in ("pool", "global_pool"):
            kind = _POOLS[node.kind, node.options["function"]]
            fields["chunk"] = -(-fields["channels"] // threads())
        else:
            kind = _KINDS[node.kind]
        if node.kind == "flatten":
            fields["channels"] = self._layout.shapes[source][2]
        if node.kind == "pool":
            for name in ("size", "stride", "pad"):
                pair = node.options[_OPTIONS[name]]
                if name == "pad":
                    pair = (pair[0][0], pair[1][0])
                fields |= {f"{name}_y": pair[0], f"{name}_x": pair[1]}
        self._add(kind, node.output, **fields)


def _whole(channels: int) -> int:
    return -(-channels // LANES) * LANES


_OPTIONS = {"size": "size", "stride": "strides", "pad": "padding"}


def _joined(arrays: list[np.ndarray], dtype: str) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate(arrays), dtype)


def _rows(step: Product) -> np.ndarray:
    """Return the bias, scale and shift of every output."""
    columns = (step.bias, step.scale, step.shift)
    zeros = np.zeros_like(step.bias)
    return np.stack([zeros if c is None else c for c in columns], axis=1)


def _code(activation: dict[str, Any] | None) -> dict[str, Any]:
    """Return the fields of an activation."""
    if activation is None:
        return {"code": 0}
    name, fields = activation["function"], {}
    if name == "relu":
        limit = activation["limit"]
        fields = {
            "slope": activation["slope"],
            "threshold": activation["threshold"],
            "limit": np.inf if limit is None else limit,
        }
        if fields["slope"] or fields["threshold"]:
            name = "general_relu"
        elif limit is not None:
            name = "relu6"
    return {"code": network.ACTIVATIONS.index(name), **fields}


def _blocks(first: int, inside: np.ndarray) -> list[tuple[int, ...]]:
    """Return blocks of vectors, as wide as fit and as even as can be.

    Args:
        first: Integer, the first float.
        inside: Boolean array, which floats are positions.
    """
    vectors = -(-len(inside) // LANES)
    number = -(-vectors // WIDEST)
    edges = [vectors * n // number for n in range(number + 1)]
    bits = np.zeros((number, 8 * LANES), bool)
    for n, (edge, following) in enumerate(itertools.pairwise(edges)):
        part = inside[LANES * edge : LANES * following]
        bits[n, : len(part)] = part
    words = np.packbits(bits, axis=1, bitorder="little").view("<i8")
    return [
        (first + LANES * edge, following - edge, *map(int, two))
        for (edge, following), two in zip(
            itertools.pairwise(edges), words, strict=True
        )
    ]
