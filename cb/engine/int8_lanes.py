"""LLVM code for dense layers of one image: an output in each lane."""

from llvmlite import ir
from numba.core import cgutils
from numba.core import types
from numba.extending import intrinsic

from cb.engine.int8_vectors import LANES
from cb.engine.int8_vectors import Code
from cb.kernels.vectors import pointers
from cb.kernels.vectors import sum_in_ways

# Elsewhere there is no such choice from two registers.
KNOWN = LANES == 16
_BYTE, _INTEGER, _INDEX = ir.IntType(8), ir.IntType(32), ir.IntType(64)
# Independent sums, since an addition waits for the one before.
_WAYS = 4


@intrinsic(prefer_literal=True)
def sixteen_outputs(
    typing, memory, places, lanes, factors, row, residual_factor, form
):
    """Compute 16 outputs of a dense layer for one image.

    Args:
        typing: Numba's typing context.
        memory: Bytes of all values.
        places: Tuple of integers: where the inputs are, the outputs, those of
            the residual value and of the second target (-1 for none), the
            group of outputs, and how many of them to write.
        lanes: Tuple of arrays, those of `Lanes`, of 32-bit numbers.
        factors: As in `four_channels`, for 16 rows.
        row: Integer, the first of the rows.
        residual_factor: Float, what the residual value is multiplied by.
        form: Literal 0 for bytes, 1 for floats.
    """
    as_floats = bool(form.literal_value)

    def generate(context, builder, signature, given):
        if not KNOWN:
            return context.get_dummy_value()
        (memory,) = pointers(context, builder, signature.args[:1], given[:1])
        code = Code(builder, memory)
        source, *places, group, left = cgutils.unpack_tuple(builder, given[1])
        lanes = cgutils.unpack_tuple(builder, given[2])
        arrays = pointers(context, builder, signature.args[2], lanes)
        table = context.make_array(signature.args[3])(
            context, builder, given[3]
        )
        _, stride = cgutils.unpack_tuple(builder, table.shape)

        def factor(kind):
            place = builder.add(builder.mul(stride, _INDEX(kind)), given[4])
            place = builder.gep(table.data, [place])
            place = builder.bitcast(place, code.floats.as_pointer())
            return builder.load(place, align=4)

        total = _sum(code, source, arrays, group)
        _finish(code, total, places, left, factor, given[5], as_floats)
        return context.get_dummy_value()

    signature = types.void(
        memory,
        types.UniTuple(types.int64, 6),
        lanes,
        factors,
        types.int64,
        types.float32,
        form,
    )
    return signature, generate


def _sum(code, source, arrays, group):
    """Emit the sums of a group of outputs."""
    builder = code.builder
    starts, bases, lanes, weights = arrays
    octets = ir.VectorType(_BYTE, LANES)
    lanes = builder.bitcast(lanes, octets.as_pointer())
    weights = builder.bitcast(weights, code.integers.as_pointer())
    pick = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(code.integers, [code.integers] * 3),
        "llvm.x86.avx512.vpermi2var.d.512",
    )
    sums = [[cgutils.alloca_once(builder, code.integers)] for _ in range(_WAYS)]
    for (total,) in sums:
        builder.store(ir.Constant(code.integers, [0] * LANES), total)

    def add(k, totals):
        (total,) = totals
        base = builder.zext(builder.load(builder.gep(bases, [k])), _INDEX)
        place = builder.add(source, builder.shl(base, _INDEX(2)))
        low, high = (
            builder.load(code.address(place, n, code.integers), align=4)
            for n in range(2)
        )
        chosen = builder.load(builder.gep(lanes, [k]), align=LANES)
        chosen = builder.zext(chosen, code.integers)
        picked = builder.call(pick, [low, chosen, high])
        weight = builder.load(builder.gep(weights, [k]), align=4 * LANES)
        found = code.multiply_bytes(builder.load(total), picked, weight)
        builder.store(found, total)

    start = builder.load(builder.gep(starts, [group]))
    end = builder.load(builder.gep(starts, [builder.add(group, _INDEX(1))]))
    (found,) = sum_in_ways(builder, sums, start, end, add, builder.add)
    return found


def _finish(code, total, places, left, factor, residual_factor, as_floats):
    """Emit what follows the sums, as `four_channels` does it."""
    builder = code.builder
    target, residual, second = places
    octets = ir.VectorType(_BYTE, LANES)
    value = builder.fmul(builder.sitofp(total, code.floats), factor(0))
    result = cgutils.alloca_once(builder, code.floats)
    builder.store(builder.fadd(value, factor(1)), result)
    with builder.if_then(builder.icmp_signed(">=", residual, _INDEX(0))):
        other = builder.load(code.address(residual, 0, octets), align=1)
        other = builder.uitofp(other, code.floats)
        other = builder.fmul(other, code.spread(residual_factor))
        builder.store(builder.fadd(builder.load(result), other), result)
    value = builder.load(result)
    if as_floats:
        where = code.address(target, 0, code.floats)
        builder.store(value, where, align=4)
        return
    _write(code, value, target, left)
    with builder.if_then(builder.icmp_signed(">=", second, _INDEX(0))):
        value = builder.fadd(builder.fmul(value, factor(2)), factor(3))
        _write(code, value, second, left)


def _write(code, value, target, left):
    """Emit the conversion to bytes, of those outputs that there are."""
    builder = code.builder
    integers = code.rounded(value)
    for sign, limit in (("<", 0), (">", 255)):
        bound = ir.Constant(code.integers, [limit] * LANES)
        beyond = builder.icmp_signed(sign, integers, bound)
        integers = builder.select(beyond, bound, integers)
    found = builder.trunc(integers, ir.VectorType(_BYTE, LANES))
    found = builder.bitcast(found, ir.VectorType(_INTEGER, LANES // 4))
    # Four at a time: what follows may be another value's.
    for n in range(LANES // 4):
        with builder.if_then(builder.icmp_signed(">", left, _INDEX(4 * n))):
            place = builder.add(target, _INDEX(4 * n))
            where = code.address(place, 0, _INTEGER)
            word = builder.extract_element(found, _INTEGER(n))
            builder.store(word, where, align=1)
