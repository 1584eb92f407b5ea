"""Vectors of bytes in LLVM, as Numba's own code does not use them."""

import itertools

from llvmlite import ir
from numba.core import cgutils
from numba.core import types
from numba.extending import intrinsic

from cb.engine.int8_features import lanes
from cb.kernels.vectors import pointers
from cb.kernels.vectors import sum_in_ways

LANES = lanes()
_WIDE = LANES == 16
_BYTE, _SHORT = ir.IntType(8), ir.IntType(16)
_INTEGER, _INDEX, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()


class Code:
    """Emits LLVM code for vectors.

    Args:
        builder: llvmlite builder, positioned in a function.
        memory: Pointer to the bytes of all values.
    """

    def __init__(self, builder, memory):
        self.builder = builder
        self._memory = memory
        self.integers = ir.VectorType(_INTEGER, LANES)
        self.floats = ir.VectorType(_FLOAT, LANES)

    def address(self, place, number, kind):
        """Return the pointer to a vector, `number` vectors after a place."""
        place = self.builder.add(place, _INDEX(number * 4 * LANES))
        address = self.builder.gep(self._memory, [place])
        return self.builder.bitcast(address, kind.as_pointer())

    def spread(self, number):
        """Return a vector of one number."""
        vector = ir.VectorType(number.type, LANES)
        nothing = ir.Constant(vector, ir.Undefined)
        one = self.builder.insert_element(nothing, number, _INTEGER(0))
        zeros = ir.Constant(self.integers, [0] * LANES)
        return self.builder.shuffle_vector(one, nothing, zeros)

    def multiply_bytes(self, total, unsigned, signed):
        """Add to each sum the products of four bytes."""
        name = f"llvm.x86.avx512.vpdpbusd.{32 * LANES}"
        return self.call(name, self.integers, total, unsigned, signed)

    def rounded(self, floats):
        """Round to integers, halves to even ones."""
        if not _WIDE:
            return self.call(
                "llvm.x86.avx.cvt.ps2dq.256", self.integers, floats
            )
        name = "llvm.x86.avx512.mask.cvtps2dq.512"
        old = ir.Constant(self.integers, [0] * LANES)
        every, current = _SHORT(0xFFFF), _INTEGER(4)
        return self.call(name, self.integers, floats, old, every, current)

    def narrow(self, vectors):
        """Return four vectors as bytes, limited, of each 128 bits in turn."""
        family, bits = ("avx512", ".512") if _WIDE else ("avx2", "")
        shorts = ir.VectorType(_SHORT, 2 * LANES)
        octets = ir.VectorType(_BYTE, 4 * LANES)
        pairs = [
            self.call(f"llvm.x86.{family}.packssdw{bits}", shorts, *two)
            for two in (vectors[:2], vectors[2:])
        ]
        name = f"llvm.x86.{family}.packuswb{bits}"
        return self.call(name, octets, *pairs)

    def packed(self, channels):
        """Return four channels as bytes, limited to 0 to 255, one by one."""
        found = self.narrow(channels)
        order = [
            16 * part + 4 * channel + position
            for part in range(LANES // 4)
            for position in range(4)
            for channel in range(4)
        ]
        places = ir.Constant(ir.VectorType(_INTEGER, len(order)), order)
        nothing = ir.Constant(found.type, ir.Undefined)
        return self.builder.shuffle_vector(found, nothing, places)

    def channel(self, packed, number):
        """Return one of four channels of packed bytes as floats."""
        bits = ir.Constant(self.integers, [8 * number] * LANES)
        mask = ir.Constant(self.integers, [255] * LANES)
        found = self.builder.and_(self.builder.lshr(packed, bits), mask)
        return self.builder.sitofp(found, self.floats)

    def call(self, name, result, *arguments):
        """Call a function of LLVM."""
        kind = ir.FunctionType(result, [one.type for one in arguments])
        found = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(found, arguments)


@intrinsic(prefer_literal=True)
def four_channels(
    typing, memory, places, entries, factors, row, residual_factor, form, count
):
    """Compute four output channels of `count` vectors of positions.

    Args:
        typing: Numba's typing context.
        memory: Bytes of all values.
        places: Tuple of integers: where the positions are in the source, the
            target, the residual value and the second target (-1 for none),
            and the bytes between channels of a target of floats.
        entries: Tuple of arrays: offsets, weights and the first entry of each
            row.
        factors: Float array `(4, rows)`: what sums are multiplied by, what is
            added, and the same for the second target.
        row: Integer, the first of four rows.
        residual_factor: Float, what the residual value is multiplied by.
        form: Literal 0 for bytes, 1 for floats.
        count: Literal.
    """
    if not isinstance(count, types.IntegerLiteral):
        return None
    number = count.literal_value
    as_floats = bool(form.literal_value)

    def generate(context, builder, signature, given):
        (memory,) = pointers(context, builder, signature.args[:1], given[:1])
        code = Code(builder, memory)
        places = cgutils.unpack_tuple(builder, given[1])
        entries = cgutils.unpack_tuple(builder, given[2])
        arrays = pointers(context, builder, signature.args[2], entries)
        table = context.make_array(signature.args[3])(
            context, builder, given[3]
        )
        _, stride = cgutils.unpack_tuple(builder, table.shape)
        row = given[4]

        def factor(kind, channel):
            place = builder.mul(stride, _INDEX(kind))
            place = builder.add(place, builder.add(row, _INDEX(channel)))
            return code.spread(builder.load(builder.gep(table.data, [place])))

        sums = [
            _sums(code, places[0], arrays, builder.add(row, _INDEX(n)), number)
            for n in range(4)
        ]
        finish(code, sums, places[1:], factor, given[5], as_floats)
        return context.get_dummy_value()

    signature = types.void(
        memory,
        types.UniTuple(types.int64, 5),
        entries,
        factors,
        types.int64,
        types.float32,
        form,
        count,
    )
    return signature, generate


def finish(code, sums, places, factor, residual_factor, as_floats):
    """Emit what follows the sums of four channels."""
    builder = code.builder
    target, residual, second, plane = places
    some = builder.icmp_signed(">=", residual, _INDEX(0))
    both = builder.icmp_signed(">=", second, _INDEX(0))
    for v in range(len(sums[0])):
        found = []
        for n in range(4):
            value = builder.sitofp(sums[n][v], code.floats)
            value = builder.fmul(value, factor(0, n))
            found.append(cgutils.alloca_once(builder, code.floats))
            builder.store(builder.fadd(value, factor(1, n)), found[n])
        with builder.if_then(some):
            place = code.address(residual, v, code.integers)
            other = builder.load(place, align=4)
            for n in range(4):
                part = code.channel(other, n)
                part = builder.fmul(part, code.spread(residual_factor))
                builder.store(
                    builder.fadd(builder.load(found[n]), part), found[n]
                )
        values = [builder.load(one) for one in found]
        if as_floats:
            for n in range(4):
                place = builder.add(target, builder.mul(plane, _INDEX(n)))
                where = code.address(place, v, code.floats)
                builder.store(values[n], where, align=4)
            continue
        _write(code, values, target, v)
        with builder.if_then(both):
            for n in range(4):
                value = builder.fmul(values[n], factor(2, n))
                values[n] = builder.fadd(value, factor(3, n))
            _write(code, values, second, v)


def _sums(code, source, arrays, row, count):
    """Emit the sums of a row for some vectors of positions."""
    builder = code.builder
    offsets, weights, starts = arrays
    # Few sums of one entry after the other would wait for each other.
    ways = max(1, 4 // count)
    sums = [
        [cgutils.alloca_once(builder, code.integers) for _ in range(count)]
        for _ in range(ways)
    ]
    for total in itertools.chain(*sums):
        builder.store(ir.Constant(code.integers, [0] * LANES), total)

    def add(k, totals):
        offset = builder.zext(builder.load(builder.gep(offsets, [k])), _INDEX)
        place = builder.add(source, offset)
        weight = code.spread(builder.load(builder.gep(weights, [k])))
        for number, total in enumerate(totals):
            where = code.address(place, number, code.integers)
            found = builder.load(where, align=4)
            found = code.multiply_bytes(builder.load(total), found, weight)
            builder.store(found, total)

    start = builder.load(builder.gep(starts, [row]))
    end = builder.load(builder.gep(starts, [builder.add(row, _INDEX(1))]))
    return sum_in_ways(builder, sums, start, end, add, builder.add)


def _write(code, values, target, number):
    """Emit the conversion of four channels to bytes."""
    packed = code.packed([code.rounded(value) for value in values])
    where = code.address(target, number, packed.type)
    code.builder.store(packed, where, align=4)


@intrinsic
def four_bytes(typing, memory, place, values, start, factor, zero):
    """Write four floats, times a factor and plus a number, as bytes.

    Returns whether they are finite.
    """

    def generate(context, builder, signature, given):
        kinds = signature.args[0:3:2]
        memory, values = pointers(context, builder, kinds, given[0:3:2])
        floats = ir.VectorType(_FLOAT, 4)
        integers = ir.VectorType(_INTEGER, 4)
        shorts, octets = ir.VectorType(_SHORT, 8), ir.VectorType(_BYTE, 16)

        def call(name, result, *arguments):
            kind = ir.FunctionType(result, [one.type for one in arguments])
            name = f"llvm.x86.{name}"
            module = builder.module
            found = cgutils.get_or_insert_function(module, kind, name)
            return builder.call(found, arguments)

        def spread(number):
            nothing = ir.Constant(floats, ir.Undefined)
            one = builder.insert_element(nothing, number, _INTEGER(0))
            zeros = ir.Constant(integers, [0] * 4)
            return builder.shuffle_vector(one, nothing, zeros)

        where = builder.gep(values, [given[3]])
        where = builder.bitcast(where, floats.as_pointer())
        x = builder.load(where, align=4)
        y = builder.fmul(x, spread(given[4]))
        y = builder.fadd(y, spread(given[5]))
        # What is too large for an integer would become the least one.
        y = call("sse.min.ps", floats, y, ir.Constant(floats, [255.0] * 4))
        y = call("sse2.cvtps2dq", integers, y)
        y = call("sse2.packssdw.128", shorts, y, y)
        y = call("sse2.packuswb.128", octets, y, y)
        y = builder.bitcast(y, integers)
        where = builder.gep(memory, [given[1]])
        where = builder.bitcast(where, _INTEGER.as_pointer())
        builder.store(builder.extract_element(y, _INTEGER(0)), where, align=4)
        rest = builder.fsub(x, x)
        bad = builder.fcmp_unordered("uno", rest, rest)
        bits = builder.bitcast(bad, ir.IntType(4))
        return builder.icmp_unsigned("==", bits, ir.IntType(4)(0))

    index, number = types.int64, types.float32
    signature = types.boolean(memory, index, values, index, number, number)
    return signature, generate


@intrinsic
def four_pixels(typing, memory, place, values, start, step, factor, zero):
    """Write four floats at each of four places as `four_bytes` does."""

    def generate(context, builder, signature, given):
        kinds = signature.args[0:3:2]
        memory, values = pointers(context, builder, kinds, given[0:3:2])
        four = ir.VectorType(_FLOAT, 4)
        parts = []
        for n in range(4):
            where = builder.mul(given[4], _INDEX(n))
            where = builder.gep(values, [builder.add(given[3], where)])
            where = builder.bitcast(where, four.as_pointer())
            parts.append(builder.load(where, align=4))
        while len(parts) > 1:
            size = 2 * parts[0].type.count
            order = ir.Constant(ir.VectorType(_INTEGER, size), [*range(size)])
            parts = [
                builder.shuffle_vector(*parts[n : n + 2], order)
                for n in range(0, len(parts), 2)
            ]
        (x,) = parts
        every = ir.Constant(ir.VectorType(_INTEGER, 16), [0] * 16)

        def spread(number):
            nothing = ir.Constant(x.type, ir.Undefined)
            one = builder.insert_element(nothing, number, _INTEGER(0))
            return builder.shuffle_vector(one, nothing, every)

        y = builder.fadd(builder.fmul(x, spread(given[5])), spread(given[6]))
        for sign, limit in (("<", 255.0), (">", 0.0)):
            bound = ir.Constant(x.type, [limit] * 16)
            y = builder.select(builder.fcmp_ordered(sign, y, bound), y, bound)
        kind = ir.FunctionType(x.type, [x.type])
        rint = cgutils.get_or_insert_function(
            builder.module, kind, "llvm.rint.v16f32"
        )
        y = builder.fptosi(builder.call(rint, [y]), every.type)
        y = builder.trunc(y, ir.VectorType(_BYTE, 16))
        where = builder.gep(memory, [given[1]])
        where = builder.bitcast(where, y.type.as_pointer())
        builder.store(y, where, align=4)
        rest = builder.fsub(x, x)
        bad = builder.fcmp_unordered("uno", rest, rest)
        bits = builder.bitcast(bad, _SHORT)
        return builder.icmp_unsigned("==", bits, _SHORT(0))

    index, number = types.int64, types.float32
    signature = types.boolean(
        memory, index, values, index, index, number, number
    )
    return signature, generate
