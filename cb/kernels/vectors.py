"""LLVM code for sums of weighted vectors, and for counters of threads.

Written in LLVM because Numba keeps sums of vectors in memory and loads and
stores them at every entry.
"""

import functools
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

# No `nnan` or `ninf`: NaN and infinity must propagate.
FASTMATH = {"reassoc", "contract", "nsz"}
# Nothing is divided by zero, and tests of it would be compiled.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": FASTMATH,
    "error_model": "numpy",
}
# Floats in a vector; LLVM divides it where the processor has shorter ones.
LANES = 16
# Activations with higher codes are done after the vectors are stored: 0 is
# none, 1 ReLU and 2 ReLU with a limit.
IN_REGISTERS = 2
# LLVM ends the process if it is asked for an instruction that it may not use:
# what counts are the features that Numba compiles for.
_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
_WIDE = "+avx512f" in _FEATURES
# Vectors to sum at once, in half of the registers.
WIDEST = 8 if _WIDE else 4
# Independent sums of the outputs in lanes.
_STEPS = 4
_FLOAT, _INDEX, _INTEGER = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, LANES)


class Code:
    """Emits LLVM code for vectors.

    Args:
        builder: llvmlite builder, positioned in a function.
    """

    def __init__(self, builder):
        self.builder = builder

    def spread(self, number):
        """Return a vector of one number."""
        nothing = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
        one = self.builder.insert_element(nothing, number, _INTEGER(0))
        zeros = ir.Constant(ir.VectorType(_INTEGER, LANES), [0] * LANES)
        return self.builder.shuffle_vector(one, nothing, zeros)

    def variable(self, value):
        """Return the address of a new variable."""
        address = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, address)
        return address

    def place(self, address, number):
        """Return the pointer to vector `number` from an address."""
        moved = self.builder.add(address, _INDEX(4 * LANES * number))
        return self.builder.inttoptr(moved, _VECTOR.as_pointer())

    def load(self, address, number):
        """Load a vector."""
        return self.builder.load(self.place(address, number), align=4)

    def store(self, value, address, number) -> None:
        """Store a vector."""
        self.builder.store(value, self.place(address, number), align=4)

    def add(self, one, other):
        """Return a sum."""
        return self.builder.fadd(one, other, flags=(*FASTMATH,))

    def multiply(self, one, other):
        """Return a product."""
        return self.builder.fmul(one, other, flags=(*FASTMATH,))

    def clip(self, value, code, limit):
        """Apply an activation that is done in registers; NaN stays."""
        builder = self.builder
        result = self.variable(value)
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        rectified = builder.icmp_signed("!=", code, _INDEX(0))
        known = builder.icmp_signed("<=", code, _INDEX(IN_REGISTERS))
        with builder.if_then(builder.and_(rectified, known)):
            below = builder.fcmp_ordered("<", value, zero)
            value = builder.select(below, zero, value)
            builder.store(value, result)
            with builder.if_then(builder.icmp_signed("==", code, _INDEX(2))):
                most = self.spread(limit)
                above = builder.fcmp_ordered(">", value, most)
                builder.store(builder.select(above, most, value), result)
        return builder.load(result)


def pointers(context, builder, kinds, arrays):
    """Return the addresses of the data of some arrays.

    Args:
        context: Numba's target context.
        builder: llvmlite builder.
        kinds: Sequence of the Numba types of the arrays.
        arrays: Sequence of their values.
    """
    return [
        context.make_array(kind)(context, builder, one).data
        for kind, one in zip(kinds, arrays, strict=True)
    ]


def sum_in_ways(builder, sums, start, end, add, join):
    """Emit sums over entries, several at once, so that none waits for another.

    Args:
        builder: llvmlite builder.
        sums: List of ways, each the addresses of variables to add to.
        start: Integer, the first entry.
        end: Integer, one behind the last.
        add: Function that emits the addition of an entry to the sums of a way.
        join: Function that emits the sum of two values.

    Returns:
        List of the sums of all ways.
    """
    ways = _INDEX(len(sums))
    middle = builder.sub(end, builder.urem(builder.sub(end, start), ways))
    loop = cgutils.for_range_slice
    with loop(builder, start, middle, ways, inc=True) as (k, _):
        for way, totals in enumerate(sums):
            add(builder.add(k, _INDEX(way)), totals)
    if len(sums) > 1:
        with loop(builder, middle, end, _INDEX(1), inc=True) as (k, _):
            add(k, sums[0])
    return [
        functools.reduce(join, map(builder.load, totals))
        for totals in zip(*sums, strict=True)
    ]


def _block(vectors: int):
    """Return the function that computes some vectors of one channel.

    It takes one tuple: addresses of the input at the first position, of offsets
    and of weights, the first entry and the end, the bias, addresses of the
    branch, the target and the second output, or 0, the scale and the shift of
    the second output, the code of the activation and its limit, and two
    integers whose bits say which lanes are positions; others become zero.
    """
    # So many sums that an addition need not wait for the one before.
    ways = max(1, 6 // vectors)

    def generate(context, builder, signature, arguments):
        given = cgutils.unpack_tuple(builder, arguments[0])
        source, offsets, weights, start, end, *rest = given
        code = Code(builder)
        bias = code.spread(rest[0])
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        sums = [
            [code.variable(zero if way else bias) for _ in range(vectors)]
            for way in range(ways)
        ]
        offsets = builder.inttoptr(offsets, _INTEGER.as_pointer())
        weights = builder.inttoptr(weights, _FLOAT.as_pointer())

        def add(k, totals):
            offset = builder.load(builder.gep(offsets, [k]))
            offset = builder.shl(builder.sext(offset, _INDEX), _INDEX(2))
            weight = code.spread(builder.load(builder.gep(weights, [k])))
            place = builder.add(source, offset)
            for number, total in enumerate(totals):
                found = code.multiply(weight, code.load(place, number))
                builder.store(code.add(builder.load(total), found), total)

        totals = sum_in_ways(builder, sums, start, end, add, code.add)
        _write(code, totals, *rest[1:])
        return context.get_dummy_value()

    @intrinsic
    def block(typing, given):
        return types.void(given), generate

    return block


def _write(code, totals, branch, target, second, scale, shift, *rest):
    """Emit what is done to sums before they are stored, and where."""
    builder = code.builder
    kind, limit, *bits = rest

    def store(value, address, number):
        half = _INDEX(LANES * (number % 4))
        mask = builder.lshr(bits[number // 4], half)
        mask = builder.trunc(mask, ir.IntType(LANES))
        mask = builder.bitcast(mask, ir.VectorType(ir.IntType(1), LANES))
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        code.store(builder.select(mask, value, zero), address, number)

    def given(address):
        return builder.icmp_signed("!=", address, _INDEX(0))

    variables = [code.variable(total) for total in totals]
    with builder.if_then(given(branch)):
        for number, variable in enumerate(variables):
            total = code.add(totals[number], code.load(branch, number))
            builder.store(total, variable)
    totals = [builder.load(variable) for variable in variables]
    with builder.if_else(given(second)) as (both, one):
        with both:
            with builder.if_then(given(target)):
                for number, total in enumerate(totals):
                    store(total, target, number)
            factor, added = code.spread(scale), code.spread(shift)
            for number, total in enumerate(totals):
                total = code.add(code.multiply(total, factor), added)
                store(code.clip(total, kind, limit), second, number)
        with one:
            for number, total in enumerate(totals):
                store(code.clip(total, kind, limit), target, number)


block_1, block_2, block_3, block_4 = (_block(n) for n in range(1, 5))
block_5, block_6, block_7, block_8 = (_block(n) for n in range(5, 9))


# Inputs of which a vector of outputs picks: two registers full.
PICKED = 2 * LANES


def _pick(context, builder, low, high, lanes):
    """Emit the choice of a float for each lane from two registers."""
    wide = ir.VectorType(_INTEGER, LANES)
    if _WIDE:
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(_VECTOR, [_VECTOR, wide, _VECTOR]),
            "llvm.x86.avx512.vpermi2var.ps.512",
        )
        return builder.call(function, [low, builder.zext(lanes, wide), high])
    places = ir.Constant(ir.VectorType(_INTEGER, PICKED), [*range(PICKED)])
    inputs = cgutils.alloca_once(builder, ir.ArrayType(_FLOAT, PICKED))
    address = builder.bitcast(
        inputs, ir.VectorType(_FLOAT, PICKED).as_pointer()
    )
    builder.store(builder.shuffle_vector(low, high, places), address, align=4)
    found = ir.Constant(_VECTOR, ir.Undefined)
    for lane in range(LANES):
        number = builder.extract_element(lanes, _INTEGER(lane))
        number = builder.zext(number, _INDEX)
        value = builder.load(builder.gep(inputs, [_INDEX(0), number]))
        found = builder.insert_element(found, value, _INTEGER(lane))
    return found


@intrinsic
def sum_outputs(typing, given):
    """Sum the weighted inputs of 16 outputs, one in each lane.

    It takes one tuple: addresses of the inputs, of the first of `PICKED` inputs
    at each step, of 16 bytes for each step that say which of these each lane
    takes, and of 16 weights for each step, the first step and the end, and the
    address of the 16 sums.
    """

    def generate(context, builder, signature, arguments):
        source, bases, lanes, weights, start, end, target = (
            cgutils.unpack_tuple(builder, arguments[0])
        )
        code = Code(builder)
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        sums = [[code.variable(zero)] for _ in range(_STEPS)]
        bases = builder.inttoptr(bases, _INTEGER.as_pointer())
        bytes_of = ir.VectorType(ir.IntType(8), LANES)
        lanes = builder.inttoptr(lanes, bytes_of.as_pointer())
        factors = builder.inttoptr(weights, _VECTOR.as_pointer())

        def add(k, totals):
            (total,) = totals
            base = builder.zext(builder.load(builder.gep(bases, [k])), _INDEX)
            place = builder.add(source, builder.shl(base, _INDEX(2)))
            low, high = code.load(place, 0), code.load(place, 1)
            chosen = builder.load(builder.gep(lanes, [k]), align=LANES)
            factor = builder.load(builder.gep(factors, [k]), align=4 * LANES)
            picked = _pick(context, builder, low, high, chosen)
            found = code.multiply(picked, factor)
            builder.store(code.add(builder.load(total), found), total)

        (result,) = sum_in_ways(builder, sums, start, end, add, code.add)
        code.store(result, target, 0)
        return context.get_dummy_value()

    return types.void(given), generate


@intrinsic
def increase(typing, counters, index, amount):
    """Add to an integer that threads share; return what it was."""

    def generate(context, builder, signature, given):
        (data,) = pointers(context, builder, signature.args[:1], given[:1])
        place = builder.gep(data, [given[1]])
        return builder.atomic_rmw("add", place, given[2], "seq_cst")

    return types.int64(counters, types.int64, types.int64), generate


@intrinsic
def shared(typing, counters, index):
    """Return an integer that other threads increase."""

    def generate(context, builder, signature, given):
        (data,) = pointers(context, builder, signature.args[:1], given[:1])
        place = builder.gep(data, [given[1]])
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(counters, types.int64), generate


let_others_run = types.ExternalFunction("sched_yield", types.int32())
