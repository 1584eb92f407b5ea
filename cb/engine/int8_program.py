"""Layout and memory of quantized networks: operations become a table."""

import dataclasses

import numpy as np

from cb.engine import int8_kernels as kernels
from cb.engine import int8_lanes
from cb.engine.int8_depthwise import places_of
from cb.engine.int8_operations import GlobalPool
from cb.engine.int8_operations import LookUp
from cb.engine.int8_operations import MaxPool
from cb.engine.int8_operations import Operations
from cb.engine.int8_operations import Product
from cb.engine.int8_operations import Quantize
from cb.engine.int8_operations import Window
from cb.engine.lanes import Lanes
from cb.engine.layout import Entries
from cb.engine.memory import Memory
from cb.engine.plan import Plan
from cb.kernels.threads import threads

# Instructions, or so, from which a thread is worth its while.
_LEAST = 2000


class _Writer:
    """Writes the table, operation by operation."""

    def __init__(self, network: Operations, tile: int):
        self.tile = tile
        self._shapes = network.shapes
        # Of one image, dense layers have outputs in vectors, not positions.
        self._dots = tile == 1 and int8_lanes.KNOWN and len(tiles(network)) > 1
        self.memory = Memory()
        self.steps: list[list[int]] = []
        self.numbers: list[tuple[float, float]] = []
        none = np.zeros(0, "uint32"), np.zeros(0, "int32"), np.zeros(0, "int64")
        self.entries = [none]
        self.lanes = [Lanes.none("int32")]
        self.factors: list[np.ndarray] = []
        self.tables: list[np.ndarray] = []
        self.taps = [np.zeros(0, "int32")]
        self._rows = 0
        self._places = self._plan(network)

    def _plan(self, network: Operations) -> dict[int, int]:
        """Find a place for every value."""
        uses: dict[int, list[int]] = {}
        for index, operation in enumerate(network.operations):
            for field in ("source", "target", "residual", "second"):
                value = getattr(operation, field, None)
                if value is not None:
                    uses.setdefault(value, []).append(index)
        return {
            value: self._place(
                self._planes(value) * self._plane(value), min(when), max(when)
            )
            for value, when in uses.items()
        }

    def _place(self, size: int, first: int, last: int) -> int:
        size += 2 * kernels.SLACK
        return self.memory.place(size, first, last) + kernels.SLACK

    def _planes(self, value: int) -> int:
        return -(-self._shapes[value][2] // 4)

    def _plane(self, value: int) -> int:
        """Return the bytes of four channels of a value."""
        height, width, _ = self._shapes[value]
        return 4 if self._dots else 4 * _padded(height * width * self.tile)

    def write(self, index: int, operation) -> None:
        """Add the steps of an operation."""
        if isinstance(operation, Product):
            shape = self._shapes[operation.source]
            if _is_depthwise(operation, shape) and not self._dots:
                self._depthwise(index, operation)
            else:
                self._product(index, operation)
            return
        target = operation.target
        to = self._places[target]
        if isinstance(operation, Quantize):
            columns = [to, self._plane(target), operation.zero]
            columns.append(self._shapes[target][2])
            self._step(kernels.QUANTIZE, columns, operation.factor)
            return
        source = operation.source
        start, planes = self._places[source], self._planes(source)
        if isinstance(operation, LookUp):
            channels = self._shapes[source][2]
            columns = [start, to, channels, len(self.tables)]
            columns += [self._plane(source), operation.first]
            self.tables.append(operation.table)
            work = channels * self._plane(source) // 4
            self._step(kernels.LOOK_UP, columns, units=channels, work=work)
        elif isinstance(operation, GlobalPool):
            height, width, _ = self._shapes[source]
            columns = [start, to, planes, height * width]
            columns += [self._plane(source), self._plane(target)]
            mean = operation.function == "average"
            kind = kernels.GLOBAL_MEAN if mean else kernels.GLOBAL_MAX
            numbers = operation.factor, operation.shift
            work = 4 * planes * height * width
            self._step(kind, columns, *numbers, units=planes, work=work)
        else:
            self._max_pool(index, operation)

    def _step(self, kind, columns, *numbers, units=1, work=0) -> None:
        """Add a step that threads can divide if there is much to do."""
        parts = max(1, min(threads(), work // _LEAST, units))
        row = [kind, *columns]
        row += [0] * (kernels.COLUMNS - 2 - len(row))
        self.steps.append([*row, units, -(-units // parts)])
        self.numbers.append((*numbers, 0.0, 0.0)[:2])

    def _expanded(self, index, source, high, wide, window, filling):
        """Add the step that copies a value for each column of a kernel.

        Returns:
            Where the copies are, and the rows of one phase of the strides.
        """
        height, width, _ = self._shapes[source]
        stride = window.strides[0]
        rows = high + (window.size[0] - 1) * window.dilation[0] // stride
        planes = self._planes(source)
        size = window.size[1] * stride * rows * wide * 4
        place = self._place(planes * size, index, index)
        columns = [self._places[source], place, planes, height, width]
        columns += [window.size[1], window.dilation[1]]
        columns += [window.padding[0][0], window.padding[1][0]]
        columns += [*window.strides, rows, wide]
        columns += [filling * 0x01010101, self._plane(source)]
        work = planes * size // 32
        self._step(kernels.EXPAND, columns, units=planes, work=work)
        return place, rows

    def _max_pool(self, index: int, operation: MaxPool) -> None:
        window = operation.window
        high, wide, _ = self._shapes[operation.target]
        place, rows = self._expanded(
            index, operation.source, high, wide, window, 0
        )
        stride = window.strides[0]
        from_plane = window.size[1] * stride * rows * wide * 4
        columns = [place, self._places[operation.target]]
        columns += [self._planes(operation.source), window.size[1]]
        columns += [window.size[0], wide, rows, high, stride]
        columns += [self._plane(operation.target), from_plane]
        planes = self._planes(operation.source)
        work = planes * high * 4 * wide * window.size[0] * window.size[1]
        self._step(kernels.MAX_POOL, columns, units=planes, work=work)

    def _product(self, index: int, operation: Product) -> None:
        source, target, window = (
            operation.source,
            operation.target,
            operation.window,
        )
        high, wide = places(self._shapes[source], window)
        positions = 1 if self._dots else _padded(high * wide * self.tile)
        block, row, column, channels = _blocks(operation)
        outputs = -(-operation.kernel.shape[3] // 4) * 4
        plain = window == Window()
        if plain or (high * wide == 1 and not np.any(window.padding)):
            # Weights find their inputs in the value itself.
            place = self._places[source]
            width = self._shapes[source][1]
            y, x = row * window.dilation[0], column * window.dilation[1]
            offsets = block * self._plane(source) + 4 * (y * width + x)
        else:
            place, rows = self._expanded(
                index, source, high, wide, window, operation.filling
            )
            y, stride = row * window.dilation[0], window.strides[0]
            line = (block * window.size[1] + column) * stride + y % stride
            offsets = 4 * wide * (line * rows + y // stride)
        counts = np.bincount(channels.outputs, minlength=outputs)
        groups = sum(len(one.counts) for one in self.lanes)
        if self._dots:
            starts = np.concatenate([[0], np.cumsum(counts)])
            entries = Entries(starts, block, row, column, channels.weights)
            self.lanes.append(Lanes.of(entries, "int32"))
        else:
            one = offsets.astype("uint32"), channels.weights, counts
            self.entries.append(one)
        self.factors.append(_factors(operation, outputs))
        to, *others = self._written(operation)
        if target is None:
            to = self._place(4 * outputs * positions, index, index)
            kinds, plane = (kernels.FLOATS, kernels.FLOAT_DOTS), 0
        else:
            kinds, plane = (kernels.PRODUCT, kernels.DOTS), self._plane(target)
        columns = [place, to, *others, positions, outputs // 4, self._rows]
        units, work = outputs // 4, len(block) * positions // 16
        if self._dots:
            units, work = self.lanes[-1].counts.size, len(self.lanes[-1].bases)
        self._step(
            kinds[self._dots],
            [*columns, plane, groups],
            operation.residual_factor,
            units=units,
            work=work,
        )
        if target is None:
            columns = [to, positions, operation.kernel.shape[3]]
            self._step(kernels.READ, columns)
        self._rows += outputs

    def _depthwise(self, index: int, operation: Product) -> None:
        source, window = operation.source, operation.window
        shape = self._shapes[source]
        high, wide = places(shape, window)
        place, plane = self._places[source], self._plane(source)
        if window.strides != (1, 1):
            strides = window.strides
            phases = Window((1, strides[1]), strides)
            place, _ = self._expanded(
                index, source, high, wide, phases, operation.filling
            )
            plane = 4 * strides[0] * strides[1] * high * wide
        number, taps = places_of(operation, shape, (high, wide))
        outputs, positions = 4 * self._planes(source), _padded(high * wide)
        columns = [place, *self._written(operation), positions, outputs // 4]
        columns += [self._rows, 4 * positions]
        columns += [sum(map(len, self.taps)), number, plane]
        columns.append(operation.filling * 0x01010101)
        self._step(
            kernels.DEPTHWISE,
            columns,
            operation.residual_factor,
            units=outputs // 4,
            work=outputs * number * positions // 16,
        )
        self.taps.append(taps)
        self.factors.append(_factors(operation, outputs))
        none = np.zeros(outputs, "int64")
        self.entries.append((*self.entries[0][:2], none))
        self._rows += outputs

    def _written(self, operation: Product) -> list[int]:
        """Return where the values lie that are written, or added."""
        found = [
            -1 if value is None else self._places[value]
            for value in (
                operation.target,
                operation.residual,
                operation.second,
            )
        ]
        if operation.target is not None:
            found[0] += operation.first // 4 * self._plane(operation.target)
        return found


def _is_depthwise(operation: Product, shape) -> bool:
    """Return whether each channel has a kernel, and borders as inputs have."""
    window, channels = operation.window, shape[2]
    sides = [
        -(-side // stride)
        for side, stride in zip(shape[:2], window.strides, strict=True)
    ]
    return (
        operation.target is not None
        and operation.groups == operation.kernel.shape[3] == channels
        and window != Window()
        and places(shape, window) == (*sides,)
    )


def places(shape, window: Window) -> tuple[int, int]:
    """Return how many places a window has along height and width."""
    high, wide = (
        (side + sum(pad) - (one - 1) * step - 1) // stride + 1
        for side, one, stride, pad, step in zip(
            shape[:2],
            window.size,
            window.strides,
            window.padding,
            window.dilation,
            strict=True,
        )
    )
    return high, wide


def _padded(positions: int) -> int:
    return -(-positions // 16) * 16


def _factors(operation: Product, outputs: int) -> np.ndarray:
    """Return what sums are multiplied by, and what is added."""
    found = np.zeros((4, outputs), "float32")
    for kind, values in enumerate(
        (
            operation.multiplier,
            operation.shift,
            operation.second_multiplier,
            operation.second_shift,
        )
    ):
        if values is not None:
            found[kind, : len(values)] = values
    return found


@dataclasses.dataclass(frozen=True)
class _Weights:
    """Blocks of four weights as 32-bit numbers, and the outputs they add to."""

    weights: np.ndarray
    outputs: np.ndarray


def _blocks(operation: Product):
    """Return planes, rows, columns and weights of all blocks, by outputs."""
    kernel = operation.kernel
    height, width, inputs, outputs = kernel.shape
    row, column, channel, output = np.nonzero(kernel)
    values = kernel[row, column, channel, output]
    group = output // (outputs // operation.groups)
    channel = channel + group * inputs
    planes = -(-inputs * operation.groups // 4)
    shape = (outputs, planes, width, height)
    flat = np.ravel_multi_index((output, channel // 4, column, row), shape)
    found, number = np.unique(flat, return_inverse=True)
    octets = np.zeros((len(found), 4), "int8")
    octets[number, channel % 4] = values
    output, plane, column, row = np.unravel_index(found, shape)
    weights = octets.view("<i4")[:, 0].copy()
    return plane, row, column, _Weights(weights, output)


def tiles(network: Operations) -> tuple[int, ...]:
    """Return how many images a plan can take, ascending.

    Several fill vectors where every value is a single position.
    """
    plain = all(
        isinstance(one, Quantize | LookUp)
        or (isinstance(one, Product) and one.window == Window())
        for one in network.operations
    )
    flat = all(shape[:2] == (1, 1) for shape in network.shapes.values())
    return (1, 16, 32, 64) if plain and flat else (1,)


def compile_operations(network: Operations, tile: int = 1) -> Plan:
    """Return the table that runs a quantized network.

    Args:
        network: `Operations`.
        tile: Integer, one of `tiles(network)`.

    Returns:
        `Plan`, for `int8_kernels`.
    """
    writer = _Writer(network, tile)
    for index, operation in enumerate(network.operations):
        writer.write(index, operation)
    offsets, weights, counts = (
        np.concatenate(one) for one in zip(*writer.entries, strict=True)
    )
    # Outputs are read and written 16 at a time.
    rest = np.zeros((4, 16), "float32")
    arrays = (
        np.array(writer.steps, "int64"),
        np.array(writer.numbers, "float32"),
        (offsets, weights, np.cumsum([0, *counts], dtype="int64")),
        Lanes.joined(writer.lanes),
        np.concatenate([*writer.factors, rest], 1),
        np.array(writer.tables or [np.zeros(256)], "uint8"),
        np.concatenate(writer.taps, dtype="int32"),
    )
    return Plan(tile, arrays, writer.memory.size // 4, kernels)
