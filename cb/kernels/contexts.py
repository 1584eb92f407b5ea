"""What compiled code of TensorFlow operations has in common.

TensorFlow calls it with addresses of what a kernel keeps and of its context.
"""

import inspect
import zlib
from collections.abc import Callable
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numba
import numpy as np
from numba.core import types

from cb.kernels.csr_pool import external
from cb.kernels.vectors import FASTMATH

_TF_FLOAT = 1
_address = types.intp
_compiled = numba.njit(nogil=True, fastmath=FASTMATH)

_new_status = external("TF_NewStatus", _address)
_delete_status = external("TF_DeleteStatus", types.void, _address)
_get_input = external(
    "TF_GetInput", types.void, _address, types.int32, _address, _address
)
data = external("TF_TensorData", _address, _address)
dimension = external("TF_Dim", types.int64, _address, types.int32)
_delete_tensor = external("TF_DeleteTensor", types.void, _address)
_allocate = external(
    "TF_AllocateOutput",
    _address,
    _address,
    types.int32,
    types.int32,
    _address,
    types.int32,
    _address,
    _address,
)
_fail = external("TF_OpKernelContext_Failure", types.void, _address, _address)


@_compiled
def begin(context, given):
    """Fetch the inputs of an operation as tensors; return a status."""
    status, cell = _new_status(), np.zeros(1, np.int64)
    for number in range(len(given)):
        _get_input(context, np.int32(number), cell.ctypes.data, status)
        given[number] = cell[0]
    return status


@_compiled
def end(given, status):
    """Give back the inputs of an operation and its status."""
    for tensor in given:
        _delete_tensor(tensor)
    _delete_status(status)
    return 0


@_compiled
def output(context, number, shape, status):
    """Allocate an output; return its data, 0 if there is no memory."""
    tensor = _allocate(
        context,
        np.int32(number),
        np.int32(_TF_FLOAT),
        shape.ctypes.data,
        np.int32(len(shape)),
        4 * shape.prod(),
        status,
    )
    if not tensor:
        _fail(context, status)
        return 0
    address = data(tensor)
    _delete_tensor(tensor)
    return address


def functions(
    make: Callable[[int], Sequence[Callable]], modules: Sequence[ModuleType]
) -> dict[str, Callable]:
    """Return the functions that C calls, by name.

    Numba's cache only checks the file of a function for changes, so a checksum
    of the others is part of its key.

    Args:
        make: Function that returns them. Its argument, zero times part of
            their results, is part of that key.
        modules: List of modules, those of what they call.
    """
    stamp = 0
    for module in modules:
        with open(inspect.getfile(module), "rb") as file:
            stamp = zlib.crc32(file.read(), stamp)
    return {one.__name__: one for one in make(stamp)}


def compiled(function: Callable) -> Any:
    """Compile a function that C calls, cached where a folder can be written.

    Args:
        function: One of `functions`, whose arguments are addresses.

    Returns:
        What `numba.cfunc` does; its `address` is that of the code.
    """
    signature = types.intp(*[types.intp] * function.__code__.co_argcount)
    try:
        return numba.cfunc(signature, cache=True)(function)
    except RuntimeError:
        return numba.cfunc(signature)(function)
