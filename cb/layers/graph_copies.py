"""Copies of graphs of layers, with what their models hold beside layers."""

import copy as copies
from collections.abc import Callable
from typing import Any

import keras
from keras.src.models.functional import Functional

from cb.errors import InputError
from cb.errors import one_line
from cb.layers.attributes import AddedArguments
from cb.layers.computed_kernels import ComputedKernels
from cb.layers.computed_kernels import numpy_value
from cb.layers.masked import Masked
from cb.layers.masked_in_place import MasksInside
from cb.layers.traversal import graph_layers
from cb.layers.traversal import is_graph
from cb.layers.traversal import made_by_its_class
from cb.layers.traversal import named_layers
from cb.layers.traversal import own_variables

# Attributes that training, and `_refuse_files`, leave on a model; a copy is not
# compiled.
NOT_TAKEN = frozenset(
    """
    _compile_config _compiled_trainable_state _distributed_dataset
    _eval_epoch_iterator get_config history optimizer stop_evaluating
    stop_predicting stop_training
    """.split()
)
# How attributes begin that TensorFlow and callbacks set.
_BY_OTHERS = ("_self_", "reallocation_state")


class GraphCopy:
    """The copies of the parts of a model, each made once.

    A model of any Sequential or functional class becomes one of the same
    class, without a call of its constructor, and takes over attributes.

    Args:
        model: Sequential or functional Keras model.
        make: Function from an operation to a new one for its place.
        call: Function `(layer, *args, **kwargs)` that calls a new layer of a
            functional model.
    """

    def __init__(self, model: keras.Model, make: Callable, call: Callable):
        self._make = make
        self._call = call
        self._in_graph = {id(layer) for layer in graph_layers(model)}
        self._owners = {
            id(variable): layer
            for _, layer in named_layers(model)
            for variable in own_variables(layer)
        }
        # From the `id` of a layer, tensor or variable to its copy; used by
        # `deepcopy` too, which keeps what it has copied.
        self._made: dict[int, Any] = {}
        self.pairs: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []
        self.model: Any = self.layer(model)

    def layer(self, layer: Any) -> Any:
        """Return the copy of a layer or bare operation."""
        if id(layer) not in self._made:
            copy = self._graph(layer) if is_graph(layer) else self._leaf(layer)
            self._made[id(layer)] = copy
            if isinstance(layer, keras.layers.Layer):
                self.pairs.append((layer, copy))
        return self._made[id(layer)]

    def _leaf(self, layer):
        if isinstance(layer, keras.layers.InputLayer):
            return type(layer).from_config(layer.get_config())
        copy = self._make(layer)
        # Not in the configuration that Keras derives from a constructor.
        copy.name = layer.name
        for name, value in vars(layer).items():
            made = self._with_others(copy, vars(copy).get(name), value)
            if made is not vars(copy).get(name):
                vars(copy)[name] = made
        return copy

    def _with_others(self, copy, made, value):
        """Put copies of layers in the graph into the attribute of another.

        Such a layer reads their weights, and has made layers of its own from
        its configuration.
        """
        if id(value) in self._in_graph:
            inner = self._built(value)
            if copy._tracker.is_in_store("layers", made):
                copy._tracker.replace_tracked_value("layers", made, inner)
            return inner
        kind = next((k for k in (list, dict) if isinstance(value, k)), None)
        if kind is None or not isinstance(made, kind):
            return made
        keys = [*value] if kind is dict else [*range(len(value))]
        if keys != ([*made] if kind is dict else [*range(len(made))]):
            return made
        for key in keys:
            item = self._with_others(copy, made[key], value[key])
            # Past Keras, which would put tracked layers into another order.
            kind.__setitem__(made, key, item)
        return made

    def _built(self, layer):
        """Return the copy of a layer, built as the layer is."""
        copy = self.layer(layer)
        if layer.built and not copy.built:
            copy.build_from_config(layer.get_build_config())
        if layer.built and not copy.built and layer.variables:
            raise InputError(
                f"Layer {layer.name!r} cannot be copied. Expected one that "
                "its `get_build_config()` builds, as it is called outside of "
                f"the graph. Received: {type(layer).__name__}"
            )
        return copy

    def _graph(self, model):
        kind = type(model)
        copy = kind.__new__(kind)
        self._made[id(model)] = copy
        if isinstance(model, keras.Sequential):
            layers = [self.layer(layer) for layer in model._layers]
            keras.Sequential.__init__(copy, layers, name=model.name)
            if model._functional is not None and not copy.built:
                copy.build(model.input_shape)
        else:
            inputs = keras.tree.map_structure(self._input, model._inputs_struct)
            outputs = self._outputs(model)
            Functional.__init__(copy, inputs, outputs, name=model.name)
        vars(copy)["_trainable"] = model._trainable
        self._take_over(model, copy)
        return copy

    def _input(self, tensor):
        """Make an input of the same name, which Keras's own clone changes."""
        made = self.layer(tensor._keras_history.operation).output
        self._made[id(tensor)] = made
        return made

    def _outputs(self, model):
        """Call the new layers as those of a functional model are."""
        made = self._made

        def known(tensors):
            return all(id(tensor) in made for tensor in tensors)

        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                # Another model may share the node, and have a copy already.
                if known(node.outputs) or not known(node.input_tensors):
                    continue
                layer = self.layer(node.operation)
                args, kwargs = self._arguments(node)
                results = keras.tree.flatten(self._call(layer, *args, **kwargs))
                for old, new in zip(node.outputs, results, strict=True):
                    made[id(old)] = new
        return keras.tree.map_structure(
            lambda tensor: made[id(tensor)], model._outputs_struct
        )

    def _arguments(self, node):
        args, kwargs = node.arguments.fill_in(self._made)
        flat = keras.tree.flatten((args, kwargs))
        if not any(isinstance(leaf, keras.Variable) for leaf in flat):
            return args, kwargs

        def argument(leaf):
            if not isinstance(leaf, keras.Variable):
                return leaf
            return self._read(leaf, node.operation)

        return keras.tree.map_structure(argument, (args, kwargs))

    def _read(self, variable, reader):
        """Return the variable that a call of the copy reads."""
        owner = self._owners.get(id(variable))
        if owner is None or is_graph(owner):
            return self._variable(variable)
        copy = self._built(owner)
        names = [name for name, it in vars(owner).items() if it is variable]
        found = [vars(copy).get(name) for name in names]
        kernels = (
            copy.kernel_variables() if isinstance(copy, ComputedKernels) else []
        )
        if not found or any(found[0] is kernel for kernel in kernels):
            raise InputError(
                f"Layer {reader.name!r} reads the kernel of layer "
                f"{owner.name!r}, whose mask it would not obey. Expected a "
                f"layer that reads it as an attribute of {owner.name!r}, or "
                f"`exclude={owner.name!r}`. Received: {variable.path!r} as an "
                "argument"
            )
        return found[0]

    def _variable(self, variable):
        if id(variable) not in self._made:
            self._made[id(variable)] = keras.Variable(
                numpy_value(variable),
                dtype=variable.dtype,
                trainable=variable.trainable,
                autocast=variable._autocast,
                name=variable.name,
            )
        return self._made[id(variable)]

    def _take_over(self, model, copy):
        """Copy what a model holds beside its graph: attributes, variables."""
        vars(copy)["_auto_config"] = vars(model).get("_auto_config")
        for variable in own_variables(model):
            copy._track_variable(self._variable(variable))
        present = {*vars(copy), *NOT_TAKEN}
        for name, value in [*vars(model).items()]:
            if name in present or name.startswith(_BY_OTHERS):
                continue
            try:
                setattr(copy, name, self._value(value))
            except InputError:
                raise
            except Exception as error:
                raise InputError(
                    f"Model {model.name!r} cannot be copied with its attribute "
                    f"`{name}`. Expected a layer, a metric or a value that "
                    f"Python can copy. Received: {type(value).__name__} "
                    f"({one_line(error)}). To make the model sparse use "
                    "`cb.sparsify_layers(model, ...)`, which copies nothing."
                ) from error
        if not isinstance(model, keras.Sequential):
            places = {
                id(self._made.get(id(layer))): place
                for place, layer in enumerate(model._layers)
            }
            copy._layers.sort(key=lambda it: places.get(id(it), len(places)))
        _refuse_files(model, copy, self.pairs)

    def _value(self, value):
        """Return the copy of an attribute of a model."""
        if id(value) in self._made:
            return self._made[id(value)]
        if isinstance(value, keras.layers.Layer):
            return self._built(value)
        if isinstance(value, keras.Variable):
            return self._variable(value)
        if isinstance(value, keras.losses.Loss):
            return value
        if isinstance(
            value,
            keras.metrics.Metric
            | keras.optimizers.Optimizer
            | keras.random.SeedGenerator,
        ):
            return self._remade(value)
        if isinstance(value, dict):
            return {key: self._value(item) for key, item in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self._value, value))
        for kind in (list, tuple, set):
            if isinstance(value, kind):
                return kind(map(self._value, value))
        return copies.deepcopy(value, self._made)

    def _remade(self, value):
        """Make an object of Keras again, in its state."""
        copy = type(value).from_config(value.get_config())
        self._made[id(value)] = copy
        if isinstance(value, keras.random.SeedGenerator):
            copy.state.assign(value.state)
        elif isinstance(value, keras.metrics.Metric):
            for old, new in zip(value.variables, copy.variables, strict=False):
                new.assign(old)
        return copy


def _refuse_files(model, copy, pairs) -> None:
    """Refuse to save a copy that its class would load with other layers."""
    inside = {id(layer) for _, layer in named_layers(copy)}
    if isinstance(copy, MasksInside):
        # It records masks.
        inside -= {
            id(layer)
            for _, layer in named_layers(copy)
            if isinstance(layer, Masked)
        }
    before = "get_config" in vars(model)
    changed = any(
        isinstance(new, AddedArguments)
        and (before or type(old) is not type(new))
        for old, new in pairs
        if id(new) in inside
    )
    if not changed or not made_by_its_class(model):
        return
    kind = type(model).__name__

    def refuse():
        raise InputError(
            f"Model {model.name!r} cannot be saved whole, since class {kind} "
            "would load it with the layers that it makes. Use `save_weights`, "
            "and load them into a model that was changed in the same way. "
            "`cb.strip(model)` can be saved where only kernels differ."
        )

    vars(copy)["get_config"] = refuse


def beside_graph(model: keras.Model) -> list[keras.layers.Layer]:
    """List the layers that a model holds outside of its graph."""
    graph = {id(layer) for layer in model.layers}
    return [
        layer
        for layer in model._layers
        if id(layer) not in graph
        and not isinstance(layer, keras.layers.InputLayer)
    ]
