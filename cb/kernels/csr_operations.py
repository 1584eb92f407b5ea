"""Operations on CSR matrices, registered with TensorFlow.

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
from cb.kernels.csr_kernels import FUNCTIONS
from cb.kernels.csr_kernels import compiled
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
}
# Code that TensorFlow may call until the process ends.
_KEPT: list = []
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
        _register()
    kinds = [tf.float32] * len(OPERATIONS[name][2].split(","))
    graph = tf.compat.v1.get_default_graph()
    return graph.create_op(name, inputs, kinds).outputs


@functools.cache
def _register() -> None:
    """Register all operations, once in a process."""
    tf_c = _Interface()
    add_symbol = llvmlite.binding.add_symbol
    for symbol in _SYMBOLS:
        add_symbol(symbol, tf_c.address(symbol))
    made = {name: _made(name) for name in ("allocate", "work", "create")}
    add_symbol(POOL, made["allocate"].ctypes())
    add_symbol(WORK, made["work"].address)
    # Each takes the addresses of those before.
    add_symbol(SERVE, _made("serve").address)
    start, stop, helpers = _made("start"), _made("stop"), threads() - 1
    start.ctypes(helpers)
    # Threads do not survive a fork.
    os.register_at_fork(after_in_child=lambda: start.ctypes(helpers))
    atexit.register(stop.ctypes)
    create, delete = made["create"], _made("delete")
    for name, (code, inputs, outputs) in OPERATIONS.items():
        compute = _made(code)
        tf_c.define(name, inputs, outputs)
        tf_c.implement(name, (create, compute, delete))


def _made(name):
    """Return a compiled function, which is kept."""
    _KEPT.append(compiled(FUNCTIONS[name]))
    return _KEPT[-1]


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
