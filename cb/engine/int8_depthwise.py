"""Depthwise convolutions of bytes: each channel has a kernel of its own.

There is nothing to add between channels, so the four bytes that `vpdpbusd`
multiplies are those of four places of the kernel, and a sum belongs to one
channel of one position. What lies outside of the image is masked when it is
loaded, so that nothing is copied.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core import types
from numba.extending import intrinsic

from cb.engine.int8_operations import Product
from cb.engine.int8_vectors import LANES
from cb.engine.int8_vectors import Code
from cb.engine.int8_vectors import finish
from cb.kernels.vectors import pointers

# Places of a kernel in a product.
_FOUR = 4
_BYTE, _SHORT = ir.IntType(8), ir.IntType(16)
_INTEGER, _INDEX, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()


def places_of(operation: Product, shape, sides) -> tuple[int, np.ndarray]:
    """Return what `own_kernels` needs of a convolution.

    Args:
        operation: `Product` with as many groups as inputs and outputs.
        shape: Of its source.
        sides: Height and width of its target, those of the source divided by
            the strides and rounded up.

    Returns:
        Tuple of the number of products, and an int32 array: for each place of
        the kernel the bytes from an output to its input, where the source is
        divided into the columns and then the rows of all phases of strides;
        for each vector of positions and each place of the kernel, the lanes
        that are inside of the image; for each four channels, each product and
        each channel four weights.
    """
    window = operation.window
    height, width, _, channels = operation.kernel.shape
    number = -(-height * width // _FOUR)
    positions = sides[0] * sides[1]
    offsets = np.zeros(number * _FOUR, "int32")
    inside = np.zeros((number * _FOUR, -(-positions // 16) * 16), bool)
    at = np.indices(sides).reshape(2, -1)
    for n, place in enumerate(np.ndindex(height, width)):
        moved = [
            one * dilation - padding[0]
            for one, dilation, padding in zip(
                place, window.dilation, window.padding, strict=True
            )
        ]
        (down, row), (right, column) = (
            divmod(one, stride)
            for one, stride in zip(moved, window.strides, strict=True)
        )
        line = (column * window.strides[0] + row) * sides[0] + down
        offsets[n] = 4 * (line * sides[1] + right)
        y, x = (
            axis * stride + one
            for axis, stride, one in zip(at, window.strides, moved, strict=True)
        )
        seen = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
        inside[n, :positions] = seen
    bits = inside.reshape(number * _FOUR, -1, LANES) @ (1 << np.arange(LANES))
    weights = np.zeros((number * _FOUR, -(-channels // 4) * 4), "int8")
    weights[: height * width, :channels] = operation.kernel.reshape(
        -1, channels
    )
    weights = weights.reshape(number, _FOUR, -1, 4).transpose(2, 0, 3, 1)
    weights = weights.copy().view("<i4").ravel()
    return number, np.concatenate([offsets, bits.T.ravel(), weights], None)


class _Mixed(Code):
    """Vectors of four channels of every fourth position.

    Of vector `n`, 128 bits hold the channels of position `n` of four.
    """

    def mixed(self, octets):
        """Return four vectors: of each number its bytes in four vectors."""
        found = []
        for half in range(2):
            pairs = [
                self._interleaved(octets[n : n + 2], 16, half) for n in (0, 2)
            ]
            shorts = ir.VectorType(_SHORT, 2 * LANES)
            pairs = [self.builder.bitcast(one, shorts) for one in pairs]
            for part in range(2):
                both = self._interleaved(pairs, 8, part)
                found.append(self.builder.bitcast(both, self.integers))
        return found

    def _interleaved(self, pair, size, half):
        """Take from one vector and the other, of half of each 128 bits."""
        count = pair[0].type.count
        order = [
            one + number
            for first in range(size // 2 * half, count, size)
            for number in range(first, first + size // 2)
            for one in (0, count)
        ]
        order = ir.Constant(ir.VectorType(_INTEGER, count), order)
        return self.builder.shuffle_vector(*pair, order)

    def channel(self, packed, number):
        """Return the bytes of vector `number` as floats."""
        octets = ir.VectorType(_BYTE, 4 * LANES)
        nothing = ir.Constant(octets, [0] * 4 * LANES)
        given = [self.builder.bitcast(packed, octets), *[nothing] * 3]
        return self.builder.sitofp(self.mixed(given)[number], self.floats)

    def packed(self, channels):
        """Return bytes, limited to 0 to 255."""
        return self.narrow(channels)

    def repeated(self, data, place, kind):
        """Load four numbers, and repeat them."""
        four = ir.VectorType(kind, 4).as_pointer()
        where = self.builder.bitcast(self.builder.gep(data, [place]), four)
        found = self.builder.load(where, align=4)
        order = ir.Constant(self.integers, [*range(4)] * (LANES // 4))
        return self.builder.shuffle_vector(found, found, order)

    def masked(self, place, bits, filling):
        """Load a vector of bytes, of some lanes what is in `filling`."""
        builder = self.builder
        lanes = ir.VectorType(ir.IntType(1), LANES)
        mask = builder.bitcast(builder.trunc(bits, ir.IntType(LANES)), lanes)
        where = self.address(place, 0, self.integers)
        given = where, _INTEGER(4), mask, filling
        name = f"llvm.masked.load.v{LANES}i32.p0"
        found = self.call(name, self.integers, *given)
        return builder.bitcast(found, ir.VectorType(_BYTE, 4 * LANES))


@intrinsic
def own_kernels(
    typing, memory, places, taps, at, filling, factors, row, residual_factor
):
    """Compute four channels of a vector of positions, each with its kernel.

    Args:
        typing: Numba's typing context.
        memory: Bytes of all values.
        places: Tuple of integers: where the positions are in the source, the
            target, the residual value and the second target (-1 for none).
        taps: int32 array, as `places_of` makes it.
        at: Tuple of integers: where the offsets, the lanes of this vector and
            the weights of these channels begin there, and the number of
            products.
        filling: Integer, the byte in the padding, four times.
        factors: As in `four_channels`.
        row: Integer, the first of four rows.
        residual_factor: Float, what the residual value is multiplied by.
    """

    def generate(context, builder, signature, given):
        kinds = signature.args[0:3:2]
        memory, data = pointers(context, builder, kinds, given[0:3:2])
        code = _Mixed(builder, memory)
        source, *others = cgutils.unpack_tuple(builder, given[1])
        offsets, lanes, weights, count = cgutils.unpack_tuple(builder, given[3])
        filling = code.spread(builder.trunc(given[4], _INTEGER))
        table = context.make_array(signature.args[5])(
            context, builder, given[5]
        )
        _, stride = cgutils.unpack_tuple(builder, table.shape)
        sums = [cgutils.alloca_once(builder, code.integers) for _ in range(4)]
        for total in sums:
            builder.store(ir.Constant(code.integers, [0] * LANES), total)
        with cgutils.for_range(builder, count) as loop:
            first = builder.mul(loop.index, _INDEX(_FOUR))
            seen = []
            for n in range(_FOUR):
                tap = builder.add(first, _INDEX(n))
                offset, bits = (
                    builder.load(builder.gep(data, [builder.add(one, tap)]))
                    for one in (offsets, lanes)
                )
                place = builder.add(source, builder.sext(offset, _INDEX))
                seen.append(code.masked(place, bits, filling))
            weight = code.repeated(data, builder.add(weights, first), _INTEGER)
            for total, mixed in zip(sums, code.mixed(seen), strict=True):
                found = builder.load(total)
                found = code.multiply_bytes(found, mixed, weight)
                builder.store(found, total)

        def factor(kind, _):
            place = builder.add(builder.mul(stride, _INDEX(kind)), given[6])
            return code.repeated(table.data, place, _FLOAT)

        totals = [[builder.load(total)] for total in sums]
        given_places = (*others, _INDEX(0))
        finish(code, totals, given_places, factor, given[7], False)
        return context.get_dummy_value()

    four, index = types.UniTuple(types.int64, 4), types.int64
    signature = types.void(
        *(memory, four, taps, four, index, factors, index, types.float32)
    )
    return signature, generate
