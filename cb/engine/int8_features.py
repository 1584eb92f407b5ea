"""The instructions for sums of products of bytes, where there are any."""

import functools

from numba.core.registry import cpu_target

# Sets of features that LLVM needs for `vpdpbusd` and what surrounds it, with
# the 32-bit numbers in a vector.
_WAYS = (
    ({"avx512vnni", "avx512f", "avx512bw"}, 16),
    ({"avxvnni", "avx2"}, 8),
    ({"avx512vnni", "avx512vl", "avx2"}, 8),
)


@functools.cache
def lanes() -> int:
    """Return how many 32-bit sums a `vpdpbusd` instruction adds to.

    LLVM ends the process if it is asked for an instruction that it may not
    use, so what counts are the features that Numba compiles for, and not those
    of the processor.

    Returns:
        Integer: 16 with AVX512-VNNI, 8 with AVX-VNNI, 0 with neither.
    """
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    found = {name[1:] for name in features.split(",") if name[:1] == "+"}
    return next((size for needed, size in _WAYS if needed <= found), 0)
