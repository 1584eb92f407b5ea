"""Copies of models with other layer classes and the same weights."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator

import keras
import numpy as np

from cb.conversion.classes import Replace
from cb.conversion.classes import replaced_layer
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import Masked
from cb.layers.masked import mask_name
from cb.layers.sparse_dense import SparseDense
from cb.layers.tied import Tied
from cb.layers.traversal import ordered_layers


def graph_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """List the layers of a model that a clone can replace, each once.

    Layers of nested models are listed, those inside other layers are not.
    """
    found: dict[int, keras.layers.Layer] = {}

    def visit(model):
        for layer in model.layers:
            # Functional models, which Keras does not export, have operations.
            nested = isinstance(layer, keras.Sequential)
            if nested or hasattr(layer, "operations"):
                visit(layer)
            else:
                found[id(layer)] = layer

    visit(model)
    return list(found.values())


def copy_with(
    model: keras.Model, replace: Callable[[keras.layers.Layer], Replace]
) -> keras.Model:
    """Clone a model with other layer classes and copy its variables.

    Args:
        model: Sequential or functional Keras model, built.
        replace: Function from a layer of the graph to the `Replace` that
            holds for it and for the layers inside it.

    Returns:
        A Keras model without an optimizer.

    Raises:
        InputError: If the model cannot be cloned.
    """

    def clone(layer):
        if not isinstance(layer, keras.layers.Layer):
            # A bare operation such as an addition of two tensors.
            return clone_operation(layer)
        with _cloning(layer):
            return replaced_layer(layer, replace(layer))

    try:
        with _uncompiled(model):
            copy = keras.models.clone_model(
                model,
                input_tensors=_inputs(model),
                clone_function=clone,
                recursive=True,
            )
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"Model {model.name!r} cannot be cloned. Expected a Sequential "
            f"or functional model. Received: {type(model).__name__} "
            f"({error}). For a subclassed model use "
            "`cb.sparsify_layers(model, ...)`, which changes its "
            "layers in place."
        ) from error
    if not copy.built:
        copy.build(model.input_shape)
    copy_all_variables(model, copy)
    return copy


def copy_all_variables(old: keras.Model, new: keras.Model) -> None:
    """Give a model the values of another of the same structure.

    Args:
        old: Keras model.
        new: Its copy, dense, masked, sparse or tied.
    """
    for source, target in zip(
        ordered_layers(old), ordered_layers(new), strict=True
    ):
        copy_variables(source, target)


def clone_operation(operation: keras.Operation) -> keras.Operation:
    """Make an operation from the configuration of another.

    Args:
        operation: Keras layer or bare operation.

    Returns:
        An operation of the same class, not built.

    Raises:
        InputError: If its configuration is not enough for that.
    """
    with _cloning(operation):
        return type(operation).from_config(operation.get_config())


@contextlib.contextmanager
def _cloning(operation: keras.Operation) -> Iterator[None]:
    """Say of a layer in one line that its configuration is not enough."""
    try:
        yield
    except InputError:
        raise
    except (NotImplementedError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"Layer {operation.name!r} cannot be cloned. Expected a layer "
            "that can be made again from its `get_config()`, which those "
            "with Python lambdas or without that method cannot. "
            f"Received: {type(operation).__name__} ({reason}). To make "
            "its model sparse use `cb.sparsify_layers(model, ...)`, which "
            "clones nothing."
        ) from error


def _inputs(model: keras.Model):
    """Make inputs of the same names, which Keras's own clone changes."""
    if isinstance(model, keras.Sequential) or not hasattr(model, "operations"):
        return None

    def twin(tensor):
        layer = tensor._keras_history.operation
        return type(layer).from_config(layer.get_config()).output

    return keras.tree.map_structure(twin, model.input)


def copy_variables(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Give a layer the values of another, dense, masked, sparse or tied.

    Inactive weights are copied to a masked layer as they are and to a dense
    one as zeros.
    """
    masked = _weight_names(old) | _weight_names(new)
    skipped = masked | {mask_name(name) for name in masked}
    if isinstance(old, Tied) is not isinstance(new, Tied):
        skipped = {"kernel", "table"}
    if masked and isinstance(old, SparseDense) is not isinstance(
        new, SparseDense
    ):
        skipped |= {"indices", "starts", "values"}
    for variables in ("_trainable_variables", "_non_trainable_variables"):
        for source, target in zip(
            *(
                [v for v in getattr(layer, variables) if v.name not in skipped]
                for layer in (old, new)
            ),
            strict=True,
        ):
            target.assign(source)
    for source, target in zip(
        old._seed_generators, new._seed_generators, strict=True
    ):
        target.state.assign(source.state)
    for name in masked:
        _copy_weight(old, new, name)
    if isinstance(new, Tied) and not isinstance(old, Tied):
        new.share(old.kernel)
    if isinstance(old, Tied) and not isinstance(new, Tied):
        new.kernel.assign(old.kernel)


def _copy_weight(old, new, name: str) -> None:
    if isinstance(new, SparseDense):
        new.fill(read(old.raw(name)), read(old.mask) != 0)
    elif isinstance(new, Masked):
        source = (
            old.raw(name) if isinstance(old, Masked) else getattr(old, name)
        )
        new.raw(name).assign(source)
        if isinstance(old, Masked | SparseDense):
            mask = getattr(old, mask_name(name))
            getattr(new, mask_name(name)).assign(mask.value)
    else:
        getattr(new, name).assign(folded(old, name))


def folded(layer: keras.layers.Layer, name: str) -> np.ndarray:
    """Return a masked weight with positive zeros where it is inactive."""
    weights = read(layer.raw(name))
    mask = read(getattr(layer, mask_name(name)))
    return np.where(mask != 0, weights, np.zeros((), weights.dtype))


def _weight_names(layer) -> set[str]:
    masked = isinstance(layer, Masked | SparseDense)
    return set(layer.masked_weights) if masked else set()


@contextlib.contextmanager
def _uncompiled(model: keras.Model) -> Iterator[None]:
    """Hide from the clone that a model is compiled: it gets no optimizer."""
    compiled = [
        layer
        for layer in ordered_layers(model)
        if isinstance(layer, keras.Model) and layer.compiled
    ]
    for layer in compiled:
        layer.compiled = False
    try:
        yield
    finally:
        for layer in compiled:
            layer.compiled = True
