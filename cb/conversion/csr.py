"""From masked layers to layers on CSR kernels, and back."""

from collections.abc import Callable
from typing import Annotated

import keras
import numpy as np

from cb.conversion.classes import Replacement
from cb.conversion.classes import copy_with
from cb.distribute.variables import read
from cb.errors import InputError
from cb.kernels.threads import require_numba
from cb.layers.masked import masked_kernels
from cb.layers.registration import MASKED_CLASSES
from cb.layers.sparse_dense import SPARSE_CLASSES
from cb.layers.sparse_kernel import REGULARIZERS
from cb.layers.sparse_kernel import SparseKernel
from cb.layers.traversal import graph_layers
from cb.layers.traversal import ordered_layers
from cb.registry import Interval
from cb.registry import check

# From a masked class to the class that stores active weights only.
_SPARSE = {MASKED_CLASSES[kind]: new for kind, new in SPARSE_CLASSES.items()}
_MASKED = {new: masked for masked, new in _SPARSE.items()}
# From the name of a layer to the reason why it stays masked, or "".
Choice = dict[str, str]
Density = Annotated[float, Interval("(0, 1]")]
Size = Annotated[int, Interval("[1, inf)")]


def to_csr(
    model: keras.Model,
    max_density: Density | None = None,
    min_size: Size | None = None,
    report: Callable[[Choice], object] | None = None,
) -> keras.Model:
    """Make a copy of a sparse model that trains on CSR kernels.

    Masked `Dense` and `EinsumDense` layers, two-dimensional convolutions and
    other convolutions of one position whose kernel is large and sparse become
    `cb.layers.SparseDense` and its like, which store, multiply and update
    active weights only. Other layers stay masked. The copy trains with
    `cb.callbacks.Reallocation` and algorithms that keep the number of
    connections of every layer.

    Args:
        model: Keras model from `cb.sparsify`.
        max_density: Float in (0, 1], the largest density of a kernel on
            which CSR pays. By default as measured: 0.05, or for
            two-dimensional convolutions 0.35, of one position 0.1.
        min_size: Integer, the smallest number of weights of such a kernel,
            active or not. By default 250,000, or 4,000 for two-dimensional
            convolutions.
        report: Callable that takes a dict of the name of a masked layer to
            the reason why it stays masked, `""` if it does not.

    Returns:
        A Keras model with the same outputs, without an optimizer.

    Raises:
        InputError: If no layer can be changed or pays, or Numba is not
            installed.

    Example:

    >>> model = cb.to_csr(cb.sparsify(model, sparsity=0.98))
    """
    require_numba()
    check("max_density", max_density, Density | None)
    check("min_size", min_size, Size | None)
    in_graph = {id(layer) for layer in graph_layers(model)}
    choice, counts = {}, {}
    for kernel in masked_kernels(model):
        active = int(np.count_nonzero(read(kernel.mask)))
        reason = _unable(kernel, in_graph) or _does_not_pay(
            kernel, active, max_density, min_size
        )
        choice[kernel.name] = reason
        if not reason:
            counts[id(kernel.layer)] = active
    if not counts:
        reasons = "; ".join(f"{k}: {v}" for k, v in choice.items())
        raise InputError(
            f"No layer of model {model.name!r} can train on CSR kernels. "
            "Expected a layer with a large kernel that is sparse. "
            f"Received: {reasons or 'no masked layers'}"
        )

    def replace(layer, kind):
        if id(layer) not in counts:
            return None
        arguments = {"connections": counts[id(layer)]}
        masked = type(layer)
        return Replacement(_SPARSE[masked], arguments, masked.added_arguments)

    if report is not None:
        report(choice)
    return copy_with(model, replace)


def to_masked(model: keras.Model) -> keras.Model:
    """Make a masked copy of a model on CSR kernels.

    Args:
        model: Keras model.

    Returns:
        A Keras model with the same outputs, without an optimizer; the model
        itself if none of its layers has a CSR kernel.
    """
    if not any(isinstance(one, SparseKernel) for one in ordered_layers(model)):
        return model

    def replace(layer, kind):
        if kind not in _MASKED:
            return None
        arguments, dropped = {"granularity": "weight"}, kind.added_arguments
        return Replacement(_MASKED[kind], arguments, dropped)

    return copy_with(model, replace)


def _unable(kernel, in_graph) -> str:
    """Return why a masked layer has no form on CSR kernels."""
    layer = kernel.layer
    if isinstance(layer, SparseKernel):
        return "on CSR kernels already"
    if type(layer) not in _SPARSE:
        return f"a {type(layer).__name__}"
    if reason := _SPARSE[type(layer)].unable(layer):
        return reason
    if id(layer) not in in_graph:
        return "inside another layer"
    if layer.granularity != "weight":
        return f"granularity {layer.granularity!r}"
    if layer.dtype_policy.name != "float32":
        return f"dtype {layer.dtype_policy.name}"
    if layer.kernel_constraint is not None:
        return "a kernel constraint"
    if type(layer.kernel_regularizer) not in (type(None), *REGULARIZERS):
        return f"regularizer {type(layer.kernel_regularizer).__name__}"
    return ""


def _does_not_pay(kernel, active, max_density, min_size) -> str:
    density, least = _SPARSE[type(kernel.layer)].limits(kernel.layer)
    max_density, min_size = max_density or density, min_size or least
    size = int(np.prod(kernel.weight.shape))
    if size < min_size:
        return f"only {size:,} weights"
    if not active:
        return "no active weights"
    if active > max_density * size:
        return f"density {active / size:.3f}"
    return ""
