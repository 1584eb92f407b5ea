"""Operations of compiled code, registered with TensorFlow.

TensorFlow calls their compiled code itself: a training step calls no Python.
Registered by its C interface for kernels, which pluggable devices use, so that
no compiler is needed.
"""

import atexit
import ctypes
import functools
import os
import pathlib
import threading

import llvmlite.binding
import tensorflow as tf

from cb.errors import InputError
from cb.kernels import csr_kernels
from cb.kernels import penalties
from cb.kernels import selection
from cb.kernels.contexts import compiled
from cb.kernels.csr_pool import POOL
from cb.kernels.csr_pool import SERVE
from cb.kernels.csr_pool import WORK
from cb.kernels.threads import threads

# Of each operation: its code, inputs and outputs.
OPERATIONS = {
    "CbCsrProduct": (
        "product",
        "x: float, values: float, indices: int32, starts: int32, "
        "summands: float, settings: int32",
        "y: float",
    ),
    "CbCsrInputGradients": (
        "input_gradients",
        "errors: float, values: float, indices: int32, starts: int32, "
        "settings: int32",
        "gradients: float",
    ),
    "CbCsrValueGradients": (
        "value_gradients",
        "errors: float, x: float, indices: int32, starts: int32, "
        "settings: int32",
        "gradients: float, summands: float",
    ),
    "CbCsrConvolution": (
        "convolution",
        "x: float, values: float, indices: int32, starts: int32, "
        "summands: float, settings: int32",
        "y: float",
    ),
    "CbCsrConvolutionGradients": (
        "convolution_gradients",
        "errors: float, x: float, values: float, indices: int32, "
        "starts: int32, settings: int32",
        "gradients: float, value_gradients: float, summands: float",
    ),
    "CbKeepTop": (
        "keep_top",
        "weights: float, active: float, count: int64",
        "mask: float, numbers: float",
    ),
    "CbKeepTopOfGroups": (
        "keep_top_of_groups",
        "weights: float, active: float, settings: int64",
        "mask: float, numbers: float",
    ),
    "CbReplace": (
        "replace_some",
        "before: float, places: int64, values: float",
        "after: float",
    ),
    "CbPenalty": (
        "penalty",
        "weights: float, mask: float, trains: float, factors: float",
        "squares: float",
    ),
    "CbPenaltyGradients": (
        "penalty_gradients",
        "weights: float, mask: float, trains: float, factors: float, "
        "upstream: float",
        "gradients: float",
    ),
}
_FUNCTIONS = csr_kernels.FUNCTIONS | selection.FUNCTIONS | penalties.FUNCTIONS
_LOCK = threading.Lock()
_SYMBOLS = (
    "TF_NewStatus",
    "TF_DeleteStatus",
    "TF_GetInput",
    "TF_TensorData",
    "TF_Dim",
    "TF_DeleteTensor",
    "TF_AllocateOutput",
    "TF_OpKernelContext_Failure",
)


def run(name: str, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    """Add an operation to the graph that is being made.

    Args:
        name: String, one of `OPERATIONS`.
        inputs: List of tensors.

    Returns:
        List of its outputs, of unknown shapes.
    """
    with _LOCK:
        _register(name)
    kinds = [tf.float32] * len(OPERATIONS[name][2].split(","))
    graph = tf.compat.v1.get_default_graph()
    return graph.create_op(name, inputs, kinds).outputs


@functools.cache
def _register(name: str) -> None:
    """Register an operation, once in a process."""
    tf_c = _interface()
    if name.startswith("CbCsr"):
        _start_pool()
    code, inputs, outputs = OPERATIONS[name]
    create, delete = _made("create"), _made("delete")
    tf_c.define(name, inputs, outputs)
    tf_c.implement(name, (create, _made(code), delete))


@functools.cache
def _interface() -> "_Interface":
    tf_c = _Interface()
    for symbol in _SYMBOLS:
        llvmlite.binding.add_symbol(symbol, tf_c.address(symbol))
    return tf_c


@functools.cache
def _start_pool() -> None:
    """Start the threads that share products."""
    add_symbol = llvmlite.binding.add_symbol
    add_symbol(POOL, _made("allocate").ctypes())
    add_symbol(WORK, _made("work").address)
    # Each takes the addresses of those before.
    add_symbol(SERVE, _made("serve").address)
    start, stop, helpers = _made("start"), _made("stop"), threads() - 1
    start.ctypes(helpers)
    # Threads do not survive a fork.
    os.register_at_fork(after_in_child=lambda: start.ctypes(helpers))
    atexit.register(stop.ctypes)


@functools.cache
def _made(name):
    """Return a compiled function, which is kept as TensorFlow may call it."""
    return compiled(_FUNCTIONS[name])


class _Interface:
    """The functions of TensorFlow's C interface that are needed here."""

    def __init__(self):
        folder = pathlib.Path(tf.sysconfig.get_lib())
        files = sorted(folder.glob("libtensorflow_framework*"))
        self._library = ctypes.CDLL(str(files[0]) if files else None)

    def address(self, name: str) -> int:
        """Return the address of a function."""
        return ctypes.cast(self._function(name), ctypes.c_void_p).value or 0

    def define(self, name: str, inputs: str, outputs: str) -> None:
        """Register an operation."""
        operation = self._call("TF_NewOpDefinitionBuilder", name.encode())
        for kind, tensors in (("Input", inputs), ("Output", outputs)):
            for tensor in tensors.split(", "):
                add = f"TF_OpDefinitionBuilderAdd{kind}"
                self._call(add, operation, tensor.encode())
        self._call(
            "TF_OpDefinitionBuilderSetShapeInferenceFunction",
            operation,
            self.address("TF_ShapeInferenceContextSetUnknownShape"),
        )
        self._checked("TF_RegisterOpDefinition", operation)

    def implement(self, name: str, functions) -> None:
        """Register the code of an operation: create, compute and delete."""
        addresses = [function.address for function in functions]
        builder = self._call(
            "TF_NewKernelBuilder", name.encode(), b"CPU", *addresses
        )
        self._checked("TF_RegisterKernelBuilder", name.encode(), builder)

    def _function(self, name):
        try:
            return getattr(self._library, name)
        except AttributeError as error:
            raise InputError(
                f"CSR kernels need the function {name!r} of TensorFlow's C "
                f"interface. Received: TensorFlow {tf.__version__} without it"
            ) from error

    def _call(self, name, *arguments):
        function = self._function(name)
        function.restype = ctypes.c_void_p
        return function(
            *(
                ctypes.c_void_p(value) if isinstance(value, int) else value
                for value in arguments
            )
        )

    def _checked(self, name, *arguments):
        status = self._call("TF_NewStatus")
        self._call(name, *arguments, status)
        message = ctypes.string_at(self._call("TF_Message", status)).decode()
        self._call("TF_DeleteStatus", status)
        if message:
            raise InputError(f"CSR kernels need {name!r}. Received: {message}")
