"""The calls of a functional model, nested models written out."""

import collections
import dataclasses
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
from keras.src.backend import get_keras_mask

from cb.errors import InputError
from cb.errors import argument_error
from cb.layers.copying import clone_operation
from cb.layers.copying import copy_state


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """A tensor between two calls; equal only to itself.

    Attributes:
        shape: Tuple of the sizes, `None` where they vary, as that of the
            batch always does in an export.
        dtype: String.
        masked: Boolean, whether a Keras mask of steps goes with it.
    """

    shape: tuple[int | None, ...]
    dtype: str
    masked: bool = False

    @property
    def channels(self) -> int:
        """The size of the last axis, 0 if there is none or it varies."""
        return (self.shape[-1] or 0) if len(self.shape) > 1 else 0


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of an operation.

    Attributes:
        operation: Keras layer or bare operation.
        args: Tuple of arguments, with `Value` in place of tensors.
        kwargs: Dict of arguments, likewise.
        outputs: Structure of `Value`.
        shared: Boolean, whether the operation is called elsewhere too.
    """

    operation: keras.Operation
    args: tuple
    kwargs: dict[str, Any]
    outputs: Any
    shared: bool = False

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.operation.name

    @property
    def kind(self) -> str:
        """The class of the operation."""
        return type(self.operation).__name__

    @property
    def sources(self) -> list[Value]:
        """The values that go in."""
        return _values((self.args, self.kwargs))

    @property
    def results(self) -> list[Value]:
        """The values that come out."""
        return _values(self.outputs)


def changes_nothing(call: Call) -> bool:
    """Return whether a call returns its input, as dropout does at inference."""
    layer = call.operation
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    names = ("Dropout", "Identity", "ActivityRegularization")
    kind = type(layer) in [getattr(keras.layers, name) for name in names]
    return kind and not call.kwargs.get("training")


@dataclasses.dataclass(frozen=True)
class Graph:
    """What a model computes.

    Attributes:
        name: String.
        layers: List of the input layers, in the order of `inputs`.
        inputs: Structure of `Value`.
        outputs: Structure of `Value`.
        calls: List of `Call`, each after those that it needs.
    """

    name: str
    layers: list[keras.layers.Layer]
    inputs: Any
    outputs: Any
    calls: list[Call]


def trace(model: keras.Model) -> Graph:
    """List the calls of a model.

    Args:
        model: Sequential or functional Keras model, built.

    Returns:
        A `Graph`.

    Raises:
        InputError: If the model is no graph of layers.
    """
    require(model)
    root = _functional(model)
    tensors = {id(tensor): _value(tensor) for tensor in root.inputs}
    calls = [*_calls(root, tensors)]
    numbers = collections.Counter(id(call.operation) for call in calls)
    calls = [
        dataclasses.replace(call, shared=numbers[id(call.operation)] > 1)
        for call in calls
    ]

    def value(tensor):
        return tensors[id(tensor)]

    return Graph(
        model.name,
        [tensor._keras_history.operation for tensor in root.inputs],
        keras.tree.map_structure(value, root._inputs_struct),
        keras.tree.map_structure(value, root._outputs_struct),
        calls,
    )


def _value(tensor) -> Value:
    shape = (None, *tensor.shape[1:])[: len(tensor.shape)]
    return Value(shape, tensor.dtype, get_keras_mask(tensor) is not None)


def require(model: keras.Model) -> None:
    """Raise `InputError` unless a model has weights."""
    if not isinstance(model, keras.Model):
        raise argument_error("model", "a Keras model", model)
    if not model.built:
        raise InputError(
            f"Model {model.name!r} has no weights yet. Expected a model that "
            "is built, and trained."
        )


def _functional(operation):
    """Return the graph of layers in a model, or `None`."""
    if isinstance(operation, keras.Sequential):
        return operation._functional
    is_graph = isinstance(operation, keras.Model) and hasattr(
        operation, "_nodes_by_depth"
    )
    return operation if is_graph else None


def _calls(model, tensors: dict[int, Value]) -> Iterator[Call]:
    """Walk through a model, noting the value of every tensor in a dict."""
    by_depth = model._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            if node.is_input:
                continue
            args, kwargs = node.arguments.fill_in(tensors)
            inner = _functional(node.operation)
            if inner is None or kwargs.get("training"):
                for tensor in node.outputs:
                    tensors[id(tensor)] = _value(tensor)
                outputs = [tensors[id(tensor)] for tensor in node.outputs]
                yield Call(node.operation, args, kwargs, outputs)
                continue
            values = _values((args, kwargs))
            inside = dict(zip(map(id, inner.inputs), values, strict=True))
            yield from _calls(inner, inside)
            for outer, tensor in zip(node.outputs, inner.outputs, strict=True):
                tensors[id(outer)] = inside[id(tensor)]


def _values(structure) -> list[Value]:
    return [
        leaf
        for leaf in keras.tree.flatten(structure)
        if isinstance(leaf, Value)
    ]


# `Make` creates the operation that replaces that of a call; `Fill` sets its
# variables once it is built.
Make = Callable[[Call], keras.Operation]
Fill = Callable[[Call, keras.Operation], None]


def clone(call: Call) -> keras.Operation:
    """Make an operation from the configuration of a call's."""
    return clone_operation(call.operation)


def copy(call: Call, operation: keras.Operation) -> None:
    """Give a clone the variables of the operation that it stands for."""
    if isinstance(operation, keras.layers.Layer):
        copy_state(call.operation, operation)


def rebuild(graph: Graph, make: Make = clone, fill: Fill = copy):
    """Build a model that makes the calls of a graph.

    Args:
        graph: `Graph`.
        make: Function from a call to its new operation.
        fill: Function that sets the variables of a new operation.

    Returns:
        A functional Keras model.
    """
    names: set[str] = set()
    tensors: dict[Value, Any] = {}
    values = keras.tree.flatten(graph.inputs)
    for layer, value in zip(graph.layers, values, strict=True):
        names.add(layer.name)
        tensors[value] = type(layer).from_config(layer.get_config()).output

    def tensor(leaf):
        return tensors[leaf] if isinstance(leaf, Value) else leaf

    made: dict[int, keras.Operation] = {}
    for call in graph.calls:
        operation = made.get(id(call.operation))
        new = operation is None
        if operation is None:
            operation = made[id(call.operation)] = make(call)
            _rename(operation, names)
        outputs = operation(
            *keras.tree.map_structure(tensor, call.args),
            **keras.tree.map_structure(tensor, call.kwargs),
        )
        results = zip(call.results, keras.tree.flatten(outputs), strict=True)
        tensors.update(results)
        if new:
            fill(call, operation)
    return keras.Model(
        keras.tree.map_structure(tensor, graph.inputs),
        keras.tree.map_structure(tensor, graph.outputs),
        name=graph.name,
    )


def _rename(operation: keras.Operation, names: set[str]) -> None:
    """Give an operation a name of its own; nested models may repeat some."""
    name, number = operation.name, 1
    while name in names:
        name = f"{operation.name}_{number}"
        number += 1
    operation.name = name
    names.add(name)
