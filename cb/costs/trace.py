"""Operations of a Keras model for one example, read off its graph.

The graph is made from shapes: no data runs through it and no weight is copied.
So any model can be traced: layers may be nested, shared or the user's own.
"""

import math
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from cb.costs.operations import FREE
from cb.costs.operations import PRODUCTS
from cb.costs.operations import Arithmetic
from cb.costs.operations import arithmetic
from cb.costs.recurrent import cell_arithmetic
from cb.errors import InputError
from cb.layers.calls import RecordedCall
from cb.layers.calls import recorded_calls
from cb.layers.masked import masked_kernels
from cb.layers.traversal import ordered_layers

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Integers of more bits are indices.
_WEIGHT_TYPES = ("bfloat16", "float16", "float32", "float64", "int8", "uint8")


class Step(NamedTuple):
    """Operation that depends on the data.

    Attributes:
        layer: The Keras layer in whose call it is, the innermost one.
        kind: String, type of the operation.
        arithmetic: `Arithmetic`, or `None` if the type is not known.
        weighted: Boolean, whether it multiplies data by weights.
        kernel: The variable whose entries the weights are, each once.
    """

    layer: keras.layers.Layer
    kind: str
    arithmetic: Arithmetic | None
    weighted: bool = False
    kernel: keras.Variable | None = None


class Trace(NamedTuple):
    """The operations and layer calls of a model for one batch.

    Attributes:
        steps: List of `Step`, those of recurrent cells last.
        calls: List of `RecordedCall` in the order of their ends.
        batch: Integer, examples in the batch.
    """

    steps: list[Step]
    calls: list[RecordedCall]
    batch: int


def trace(model: keras.Model, input_shape: Any = None) -> Trace:
    """Trace the inference of a model without running it.

    Args:
        model: Built Keras model.
        input_shape: Structure of tuples, shapes of the inputs of one
            example, where the model does not know them.

    Returns:
        `Trace`.

    Raises:
        InputError: If the shapes are not known.
    """
    if not model.built:
        raise InputError(
            f"Model {model.name!r} must be built before it is measured."
        )
    inputs = input_specs(model, input_shape)
    variables = model.variables
    recorded: list[RecordedCall] = []
    training = {"training": False} if model._call_has_training_arg else {}

    def compute(inputs, values):
        scope = keras.StatelessScope(list(zip(variables, values, strict=True)))
        with scope, recorded_calls(ordered_layers(model)) as calls:
            outputs = model(inputs, **training)
        recorded.extend(calls)
        return outputs

    # AutoGraph would wrap the errors raised inside.
    function = tf.function(compute, autograph=False).get_concrete_function(
        inputs, [tf.TensorSpec(v.shape, v.dtype) for v in variables]
    )
    number = len(keras.tree.flatten(inputs))
    masks = {id(kernel.mask) for kernel in masked_kernels(model)}
    values = zip(function.inputs[number:], variables, strict=False)
    reader = _Reader(
        {_key(tensor) for tensor in function.inputs[:number]},
        {
            _key(tensor): variable
            for tensor, variable in values
            if id(variable) not in masks and variable.dtype in _WEIGHT_TYPES
        },
    )
    operations = function.graph.get_operations()
    owners = _owners(model, recorded, len(operations))
    steps = [*reader.steps(operations, owners), *_recurrent_steps(recorded)]
    return Trace(steps, recorded, keras.tree.flatten(inputs)[0].shape[0])


def input_specs(model: keras.Model, input_shape: Any = None) -> Any:
    """Return the inputs of a model for one example, as specs.

    Args:
        model: Built Keras model.
        input_shape: As in `trace`.

    Returns:
        Structure of `tf.TensorSpec` with a batch dimension of one, or the
        fixed one of the model.

    Raises:
        InputError: If a size is not known, or does not fit the model.
    """

    def spec(tensor):
        size, *others = tensor.shape
        return tf.TensorSpec((size or 1, *others), tensor.dtype)

    given = _known_inputs(model)
    if input_shape is not None:
        specs = _specs_of_shape(given, input_shape)
    else:
        specs = keras.tree.map_structure(spec, given)
    flat = keras.tree.flatten(specs)
    if not flat or any(None in spec.shape for spec in flat):
        shapes = [tuple(spec.shape)[1:] for spec in flat]
        raise InputError(
            f"Argument `input_shape` is needed: model {model.name!r} does "
            "not fix the size of its inputs. Expected the shape of one "
            f"example, such as (224, 224, 3). Received: {shapes or None}"
        )
    return specs


def _specs_of_shape(given, input_shape) -> Any:
    known = keras.tree.flatten(given)
    leaves = iter(known)

    def spec(shape):
        tensor = next(leaves, None)
        dtype = getattr(tensor, "dtype", "float32")
        found = tf.TensorSpec((1, *shape), dtype)
        if tensor is not None:
            found.shape[1:].assert_is_compatible_with(tensor.shape[1:])
        return found

    try:
        specs = keras.tree.map_shape_structure(spec, input_shape)
        found = keras.tree.flatten(specs)
        if not all(isinstance(one, tf.TensorSpec) for one in found):
            raise TypeError("no shape")
        if known and len(found) != len(known):
            raise ValueError("another number of inputs")
    except (TypeError, ValueError) as error:
        shapes = [tuple(tensor.shape)[1:] for tensor in known]
        raise InputError(
            "Argument `input_shape` must be the shape of one example, a tuple "
            "of integers, or a structure of such tuples for several inputs"
            + (f", that fits {shapes}" if shapes else "")
            + f". Received: input_shape={input_shape!r}"
        ) from error
    return specs


def _known_inputs(model) -> Any:
    """Return tensors like the inputs of a model, none if it knows none."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0]
    try:
        return model.input
    except (AttributeError, ValueError):
        shapes = (model.get_build_config() or {}).get("input_shape") or []
        return keras.tree.map_shape_structure(keras.KerasTensor, shapes)


def _owners(model, calls, number) -> list[keras.layers.Layer]:
    """Return the layer that each operation of the graph belongs to."""
    owners: list[keras.layers.Layer] = [model] * number
    # Longest calls first, so that inner calls overwrite outer ones. Everything
    # within a recurrent layer belongs to that layer.
    for call in sorted(
        reversed(calls),
        key=lambda call: (is_recurrent(call.layer), call.first - call.last),
    ):
        owners[call.first : call.last] = [call.layer] * (call.last - call.first)
    return owners


def is_recurrent(layer: keras.layers.Layer) -> bool:
    """Tell whether a layer runs a cell in a loop."""
    return isinstance(layer, keras.layers.RNN)


def _recurrent_steps(calls: list[RecordedCall]) -> Iterator[Step]:
    for call in calls:
        if is_recurrent(call.layer):
            cells = cell_arithmetic(call.layer, call.inputs[0])
            for cell, found, kernel in cells:
                kind = type(cell).__name__
                yield Step(cell, kind, found, kernel is not None, kernel)


def _key(tensor: tf.Tensor):
    return id(tensor.graph), tensor.name


class _Reader:
    """Reads the steps of a graph and of the functions that it calls.

    Args:
        data: Set of keys of the tensors that hold data.
        variables: Dict of key to the variable whose value a tensor holds.
    """

    def __init__(self, data: set, variables: dict):
        self._data = data
        self._variables = variables
        # From the inputs of a called function to the tensors passed to it.
        self._outside: dict = {}

    def steps(
        self,
        operations: Sequence[tf.Operation],
        owners: Sequence[keras.layers.Layer],
    ) -> Iterator[Step]:
        """Yield the steps that depend on the data, in order."""
        for operation, layer in zip(operations, owners, strict=True):
            if not any(_key(t) in self._data for t in operation.inputs):
                continue
            self._data.update(map(_key, operation.outputs))
            if is_recurrent(layer):
                continue
            if operation.type in CALLS:
                yield from self._called(operation, layer)
            elif self._computes(operation):
                found = arithmetic(operation)
                weights = self._weights(found)
                kernel = None if weights is None else self._kernel(weights)
                yield Step(
                    layer, operation.type, found, weights is not None, kernel
                )

    def _computes(self, operation) -> bool:
        if operation.type in FREE:
            return False
        # Shapes and indices are integers; so are products of quantized
        # weights.
        return operation.type in PRODUCTS or any(
            tensor.dtype.is_floating
            or tensor.dtype.is_complex
            or tensor.dtype in (tf.variant, tf.resource)
            for tensor in [*operation.inputs, *operation.outputs]
        )

    def _called(self, operation, layer) -> Iterator[Step]:
        name = operation.get_attr("f").name
        graph = operation.graph._get_function(name).graph
        for inner, outer in zip(graph.inputs, operation.inputs, strict=True):
            self._outside[_key(inner)] = outer
            if _key(outer) in self._data:
                self._data.add(_key(inner))
        operations = graph.get_operations()
        yield from self.steps(operations, [layer] * len(operations))

    def _weights(self, found: Arithmetic | None) -> tf.Tensor | None:
        """Return the operand of a product that does not depend on data."""
        operands = found.operands if found else ()
        return next((t for t in operands if _key(t) not in self._data), None)

    def _kernel(self, weights: tf.Tensor) -> keras.Variable | None:
        found = [
            variable
            for variable in self._origins(weights)
            if math.prod(variable.shape) == math.prod(weights.shape)
        ]
        return found[0] if len(found) == 1 else None

    def _origins(self, tensor) -> list[keras.Variable]:
        """List the variables that a tensor is computed from."""
        found, waiting = {}, [tensor]
        while waiting:
            tensor = waiting.pop()
            key = _key(tensor)
            if key not in found:
                found[key] = tensor
                outside = self._outside.get(key)
                waiting.extend(
                    tensor.op.inputs if outside is None else [outside]
                )
        return [self._variables[k] for k in found if k in self._variables]
