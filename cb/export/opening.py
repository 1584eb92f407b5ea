"""Models that are no graph of known layers, opened for exports.

A model, and every layer made of other layers, is called on symbolic inputs, so
that the layers inside become a graph. It shows what inference on any batch
does; the result is compared with the model at two batch sizes.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend import get_keras_mask
from keras.src.ops.numpy import BroadcastTo
from keras.src.ops.numpy import Reshape

from cb.conversion import strip
from cb.conversion.classes import dense_layer
from cb.errors import InputError
from cb.errors import RunError
from cb.errors import first_cause
from cb.errors import one_line
from cb.export import checking
from cb.export import graph as graphs
from cb.export.graph import Call
from cb.export.graph import Graph
from cb.export.graph import Value
from cb.export.stand_ins import OwnVariable
from cb.export.stand_ins import SharedLayer
from cb.export.stand_ins import Sized
from cb.export.stand_ins import WithMask
from cb.export.stand_ins import inferred
from cb.layers.attributes import overridden
from cb.layers.traversal import is_graph
from cb.layers.traversal import made_by_its_class
from cb.layers.traversal import ordered_layers

# Batch sizes at which the graph must compute what the model does.
_BATCHES = (1, 3)
# What `call` may raise on symbolic tensors.
_REFUSALS = (
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.InvalidArgumentError,
)
# Layers whose inputs are no floats; the shapes that Keras keeps do not tell.
_OF_OTHER_TYPES = (
    keras.layers.CategoryEncoding,
    keras.layers.Embedding,
    keras.layers.HashedCrossing,
    keras.layers.Hashing,
    keras.layers.IntegerLookup,
    keras.layers.StringLookup,
    keras.layers.TextVectorization,
)


def symbolic_inputs(model: keras.Model, inputs: Any = None) -> Any:
    """Return the symbolic inputs of a model.

    Args:
        model: Keras model, built.
        inputs: Structure of arrays, `keras.Input` or anything with `shape`
            and `dtype`, as the model is called on, or `None`.

    Returns:
        Structure of Keras tensors.

    Raises:
        InputError: If the type or structure of the inputs is not known.
    """
    if inputs is None and is_graph(model):
        single = isinstance(model, keras.Sequential)
        return model.inputs[0] if single else model.input
    if inputs is None:
        inputs = _remembered(model)
    flat = keras.tree.flatten_with_path(inputs)
    made = []
    for path, like in flat:
        shape = (None, *tuple(like.shape)[1:])
        name = "_".join(str(part) for part in path) or "inputs"
        name = name if name[0].isalpha() else f"input_{name}"
        if isinstance(like, keras.KerasTensor):
            name = like.name
        dtype = keras.backend.standardize_dtype(like.dtype)
        made.append(keras.Input(batch_shape=shape, dtype=dtype, name=name))
    return keras.tree.pack_sequence_as(inputs, made)


def _remembered(model) -> Any:
    """Return the inputs that a subclassed model was built on."""
    shapes = model._build_shapes_dict or {}
    others = [one.name for one in ordered_layers(model) if _of_other_type(one)]
    if len(shapes) != 1 or others:
        reason = f"layer {others[0]!r}, whose inputs are no floats"
        raise InputError(
            f"Argument `inputs` is needed for model {model.name!r}, as the "
            "types of its inputs are not known. Expected arrays or "
            "`keras.Input` as the model is called on. Received: inputs=None "
            f"and {reason if others else f'{len(shapes)} known arguments'}"
        )
    (shape,) = shapes.values()
    return _specs(shape)


def _specs(shapes) -> Any:
    """Describe float inputs, given their shapes as Keras keeps them."""
    if isinstance(shapes, Mapping):
        return {name: _specs(shape) for name, shape in shapes.items()}
    if any(isinstance(part, Mapping | Sequence) for part in shapes):
        made = [_specs(shape) for shape in shapes]
        return tuple(made) if isinstance(shapes, tuple) else made
    return keras.layers.InputSpec(keras.config.floatx(), shapes)


def _of_other_type(layer) -> bool:
    return isinstance(layer, _OF_OTHER_TYPES)


def plain_graph(model: keras.Model, inputs: Any = None) -> keras.Model:
    """Make a plain copy of a model, zeros folded in, as a graph of layers.

    Args:
        model: Keras model, sparse or not, built.
        inputs: As in `symbolic_inputs`.

    Returns:
        A Sequential or functional Keras model.

    Raises:
        InputError: If the model cannot be opened, or differs once it is.
    """
    if is_graph(model) and not any(map(_opaque, ordered_layers(model))):
        return strip(model)
    symbolic = symbolic_inputs(model, inputs)
    graph = _with_variables(_opened_graph(model, symbolic))
    try:
        plain = graphs.rebuild(graph, _make, _fill)
        _compare(model, plain, symbolic)
    except (InputError, *_REFUSALS):
        # A layer that its configuration does not describe.
        with _refusing(model):
            plain = graphs.rebuild(graph, _share, _fill)
            _compare(model, plain, symbolic)
    return plain


@contextlib.contextmanager
def _refusing(model) -> Iterator[None]:
    """Refuse in one line a model that is no graph."""
    try:
        yield
    except InputError:
        raise
    except _REFUSALS as error:
        reason = one_line(first_cause(error))
        raise InputError(
            f"Model {model.name!r} cannot be opened as a graph of layers. "
            "Expected a `call` of Keras layers and `keras.ops` on inputs of "
            "any batch size, not of TensorFlow operations. Received: "
            f"{type(model).__name__} ({reason}). The form 'dense' and "
            "`cb.strip` do without."
        ) from error


def _opaque(layer) -> bool:
    """Return whether a layer is made of layers that Keras does not list."""
    if is_graph(layer):
        return made_by_its_class(layer) and bool(layer.weights)
    return not _known(layer) and any(inner.weights for inner in layer._layers)


def _known(operation) -> bool:
    return type(operation).__module__.split(".")[0] in ("cb", "keras")


def _opened_graph(model, symbolic) -> Graph:
    """List the calls inside of a model on symbolic inputs."""
    layers = ordered_layers(model)
    nodes = _lengths(model)
    histories: dict[int, Any] = {}
    required = (model, vars(model).get("wrapped"))
    calls = [
        (layer, _inside(layer, histories, any(layer is r for r in required)))
        for layer in layers
        if layer is model or is_graph(layer) or _opaque(layer)
    ]
    ignored = [(layer, lambda *args, **kwargs: None) for layer in layers]
    # Names must differ in a graph; those inside of two layers may not.
    names = [(layer, f"layer_{n}") for n, layer in enumerate(layers)]
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_refusing(model))
            stack.enter_context(overridden("symbolic_call", calls))
            stack.enter_context(overridden("add_loss", ignored))
            stack.enter_context(overridden("name", names))
            # What `call` assigns to variables is lost.
            stack.enter_context(keras.StatelessScope())
            outputs = checking.infer(model, symbolic)
            # Keras has noted that they come from the layers around.
            for tensor, history in histories.values():
                tensor._keras_history = history
            graph = graphs.trace(keras.Model(symbolic, outputs))
    finally:
        _cut(nodes)
    return dataclasses.replace(graph, name=model.name)


def _lengths(layer) -> list[tuple[list, int]]:
    """Return the lists of calls that Keras has noted, with their lengths."""
    return [
        (nodes, len(nodes))
        for inner in ordered_layers(layer)
        for nodes in (inner._inbound_nodes, inner._outbound_nodes)
    ]


def _cut(lengths) -> None:
    for nodes, length in lengths:
        del nodes[length:]


def _inside(layer, histories, required) -> Callable:
    """Return a function that calls a layer so that those inside are noted."""

    def call(*args, **kwargs):
        nodes = _lengths(layer)
        try:
            outputs = _call(layer, *args, **kwargs)
            outputs = _with_masks(layer, outputs, args, kwargs)
        except _REFUSALS:
            if required:
                raise
            # It stays one layer of the graph.
            _cut(nodes)
            # Not all such layers take it, and an export is inference anyway.
            kwargs = {k: v for k, v in kwargs.items() if k != "training" or v}
            return type(layer).symbolic_call(layer, *args, **kwargs)
        for tensor in keras.tree.flatten(outputs):
            # Keras is about to note that it comes from this layer.
            history = tensor._keras_history
            histories.setdefault(id(tensor), (tensor, history))
        return outputs

    return call


def _call(layer, *args, **kwargs):
    if not is_graph(layer) or type(layer).call not in _GRAPH_CALLS:
        return layer.call(*args, **kwargs)
    if kwargs.get("training"):
        raise ValueError("called with `training=True`")
    (inputs,) = args
    # Its own `call` converts inputs to arrays.
    graph = getattr(layer, "_functional", layer)
    return graph._run_through_graph(keras.tree.flatten(inputs))


_GRAPH_CALLS = (
    keras.Sequential.call,
    type(keras.Model(*[keras.Input((1,))] * 2)).call,
)


def _with_masks(layer, outputs, args, kwargs):
    """Attach the masks of steps that a layer gives to its outputs."""
    if not layer.supports_masking or is_graph(layer):
        return outputs
    flat = keras.tree.flatten(outputs)
    if all(get_keras_mask(tensor) is not None for tensor in flat):
        return outputs
    inputs = args[0] if args else next(iter(kwargs.values()))
    mask = kwargs.get("mask")
    if mask is None:
        mask = keras.tree.map_structure(get_keras_mask, inputs)
    masks = keras.tree.flatten(layer.compute_mask(inputs, mask))
    if len(masks) != len(flat):
        return outputs
    found = [
        one if mask is None else WithMask()(one, mask=mask)
        for one, mask in zip(flat, masks, strict=True)
    ]
    return keras.tree.pack_sequence_as(outputs, found)


def _with_variables(graph: Graph) -> Graph:
    """Let a graph read the variables that its calls are given."""
    source, *_ = keras.tree.flatten(graph.inputs)
    readers: dict[int, Call] = {}

    def value(leaf):
        if not isinstance(leaf, keras.Variable):
            return leaf
        if id(leaf) not in readers:
            result = Value(tuple(leaf.shape), leaf.dtype)
            reader = OwnVariable.of(leaf)
            readers[id(leaf)] = Call(reader, (source,), {}, [result])
        return readers[id(leaf)].outputs[0]

    calls = [
        dataclasses.replace(
            call,
            args=keras.tree.map_structure(value, call.args),
            kwargs=keras.tree.map_structure(value, call.kwargs),
        )
        for call in (_with_sizes(call, source) for call in graph.calls)
    ]
    return dataclasses.replace(graph, calls=[*readers.values(), *calls])


def _with_sizes(call: Call, source: Value) -> Call:
    """Give a reshape to a size that `call` did not know that of the batch."""
    operation: Any = call.operation
    broadcasts = isinstance(operation, BroadcastTo)
    sizes = None
    if broadcasts:
        sizes = operation.shape
    elif isinstance(operation, Reshape):
        sizes = operation.newshape
    if not isinstance(sizes, list | tuple) or None not in sizes:
        return call
    sizes = inferred(call.sources[0].shape, sizes)
    sized = Sized(sizes, broadcasts, name=operation.name)
    args = (*call.args, source)
    return dataclasses.replace(call, operation=sized, args=args)


def _make(call: Call) -> keras.Operation:
    if not isinstance(call.operation, keras.layers.Layer):
        return graphs.clone(call)
    try:
        return dense_layer(call.operation)
    except _REFUSALS:
        return SharedLayer(call.operation, name=call.name)


def _share(call: Call) -> keras.Operation:
    if isinstance(call.operation, keras.layers.Layer):
        if not _known(call.operation):
            return SharedLayer(call.operation, name=call.name)
    return _make(call)


def _fill(call: Call, operation: keras.Operation) -> None:
    if not isinstance(operation, SharedLayer):
        graphs.copy(call, operation)


def _compare(model, plain, symbolic) -> None:
    """Refuse a graph that differs from the model on batches of two sizes."""
    for size in _BATCHES:
        drawn, outputs = _drawn(model, symbolic, size)
        expected = checking.named_outputs(outputs)
        found = checking.named_outputs(plain(drawn, training=False))
        try:
            for name, value in expected.items():
                checking.check_outputs(
                    model.name, value, found[name], checking.tolerance(plain)
                )
        except (KeyError, RunError) as error:
            raise InputError(
                f"Model {model.name!r} cannot be opened as a graph of layers: "
                "its `call` depends on more than the values of its inputs, "
                f"such as the size of the batch. {one_line(error)}"
            ) from error


def _drawn(model, symbolic, size) -> tuple[Any, Any]:
    """Draw inputs that a model takes; return its outputs too."""
    shapes = [one.shape for one in keras.tree.flatten(symbolic)]
    *tries, last = itertools.product((False, True), checking.sides(shapes))

    def run(indices, side):
        random = np.random.default_rng(size)
        drawn = keras.tree.map_structure(
            lambda one: checking.draw(
                one.shape, one.dtype, random, size, side, indices
            ),
            symbolic,
        )
        return drawn, checking.infer(model, drawn)

    for one in tries:
        with contextlib.suppress(tf.errors.InvalidArgumentError, ValueError):
            return run(*one)
    return run(*last)
