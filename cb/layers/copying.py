"""Copies of a model with something changed.

The one mechanism for it: conversions, lesions and replaced normalization say
what takes the place of a layer; weights, seeds and other state follow here.
"""

import contextlib
import tempfile
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from cb.errors import InputError
from cb.errors import one_line
from cb.layers.computed_kernels import ComputedKernels
from cb.layers.computed_kernels import copy_kernel
from cb.layers.computed_kernels import kernel_names
from cb.layers.graph_copies import GraphCopy
from cb.layers.graph_copies import beside_graph
from cb.layers.masked_in_place import made_class
from cb.layers.outside_reads import require_own_reads
from cb.layers.traversal import is_graph
from cb.layers.traversal import own_variables

# Methods that load variables alone, which are copied one by one.
_LOADERS = {
    kind.load_own_variables
    for kind in (
        keras.layers.Layer,
        keras.layers.Conv2D,
        keras.layers.Dense,
        keras.layers.EinsumDense,
        keras.layers.Embedding,
    )
}

Make = Callable[[keras.layers.Layer], keras.layers.Layer]
# A layer and its copy.
Pair = tuple[keras.layers.Layer, keras.layers.Layer]


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
        return made_from(operation, operation.get_config())


def made_from(
    operation: keras.Operation, config: dict[str, Any]
) -> keras.Operation:
    """Make an operation of the class of another from a configuration.

    A `Lambda` keeps its functions, of which a configuration has no safe form.
    """
    if isinstance(operation, keras.layers.Lambda):
        config = {
            **config,
            "function": operation.function,
            "output_shape": operation._output_shape,
            "mask": operation.mask,
            "arguments": operation.arguments,
        }
        return type(operation)(**config)
    return type(operation).from_config(config)


def copy_model(
    model: keras.Model,
    make: Make = clone_operation,
    call: Callable | None = None,
) -> keras.Model:
    """Copy a model and its state, with other layers in some places.

    Args:
        model: Sequential or functional Keras model, built.
        make: Function from a layer of the graph to the layer for its place,
            of the same name and not built.
        call: Function `(layer, *args, **kwargs)` that calls a new layer, or
            leaves it out and returns one of its inputs. Functional models
            only.

    Returns:
        A Keras model without an optimizer.

    Raises:
        InputError: If the model cannot be cloned.
    """

    if not is_graph(model):
        raise InputError(
            f"Model {model.name!r} cannot be cloned. Expected a Sequential "
            f"or functional model. Received: {type(model).__name__}. To make "
            "a subclassed model sparse use `cb.sparsify_layers(model, ...)`, "
            "which changes its layers in place."
        )

    def clone(layer):
        if not isinstance(layer, keras.layers.Layer):
            # A bare operation such as an addition of two tensors.
            return clone_operation(layer)
        with _cloning(layer):
            return make(layer)

    try:
        copied = GraphCopy(model, clone, call or _call)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"Model {model.name!r} cannot be cloned. Expected layers that "
            "can be called as they were. Received: "
            f"{type(model).__name__} ({one_line(error)})"
        ) from error
    _copy_all(
        pair
        for old, new in copied.pairs
        # Without those that `call` leaves out.
        if not is_graph(old)
        and (new.built or not old.built or not old.variables)
        for pair in paired(old, new)
    )
    require_own_reads(model, [new for old, new in copied.pairs if new.built])
    return copied.model


def _call(layer, *args, **kwargs):
    return layer(*args, **kwargs)


def copy_model_state(model: keras.Model, copy: keras.Model) -> None:
    """Copy the current weights and other state of a model to a copy of it.

    Args:
        model: Keras model.
        copy: Keras model that `copy_model` returned for it, or that its class
            made with the same layers.

    Raises:
        InputError: If a layer does not fit its copy.
    """
    # Names need not differ outside of a graph.
    pairs = paired_layers if is_graph(model) else paired
    _copy_all(pairs(model, copy))


def _copy_all(pairs: Iterable[Pair]) -> None:
    """Copy the state of layers, none of whose variables may have two copies."""
    copies: dict[int, Pair] = {}
    for old, new in pairs:
        _copy_own_state(old, new)
        for source, target in _matched(old, new):
            holder, copied = copies.setdefault(id(source), (old, target))
            if copied is not target:
                raise InputError(
                    f"Layers {holder.name!r} and {old.name!r} both hold "
                    f"{source.path!r}, of which a copy would make two. "
                    "Expected one layer that is called twice, or one that "
                    "holds the other as an attribute. Received: "
                    f"{type(holder).__name__} and {type(old).__name__}"
                )


def paired_layers(model: keras.Model, copy: keras.Model) -> Iterator[Pair]:
    """Pair the layers of a model with those of its copy.

    Args:
        model: Keras model.
        copy: Keras model that `copy_model` returned for it.

    Yields:
        Tuples of a layer, or one inside another layer, and its copy.

    Raises:
        InputError: If a layer does not fit its copy.
    """
    # A copy keeps names, which are unique in a graph. Lists of layers differ
    # in order where layers are attributes too.
    layers = {layer.name: layer for layer in model.layers}
    pairs = [(layers[new.name], new) for new in copy.layers]
    pairs += zip(beside_graph(model), beside_graph(copy), strict=True)
    yield model, copy
    for old, new in pairs:
        if not isinstance(new, keras.layers.InputLayer):
            yield from (paired_layers if is_graph(old) else paired)(old, new)


def paired(old: keras.layers.Layer, new: keras.layers.Layer) -> Iterator[Pair]:
    """Pair a layer and those inside it, which its class makes in order."""
    # Without weights, it may make layers when it is first called.
    later = not old.variables and not new.built
    if len(old._layers) != len(new._layers) and not later:
        raise _unlike(old, [inner.name for inner in new._layers])
    yield old, new
    for pair in zip(old._layers, new._layers, strict=not later):
        yield from paired(*pair)


def copy_state(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Give a layer, and the layers inside it, the state of another.

    State is what decides outputs: variables, masks, states of random
    generators, and whatever else a layer saves to a `.keras` file.

    Args:
        old: Built Keras layer.
        new: Built Keras layer that was made from the configuration of `old`,
            of the same class or of another with the same kernels. Variables
            that only one of the classes has come last.

    Raises:
        InputError: If their variables do not fit each other.
    """
    for pair in paired(old, new):
        _copy_own_state(*pair)


def _copy_own_state(old, new) -> None:
    _copy_variables(old, new)
    # A rate of dropout that was set to zero later needs no generator.
    generators = old._seed_generators, new._seed_generators
    if len({*map(len, generators)}) == 1:
        for source, target in zip(*generators, strict=True):
            target.state.assign(source.state)
    if _same(old, new) and not isinstance(old, ComputedKernels):
        with _cloning(old):
            _copy_other_state(old, new)


def _same(old, new) -> bool:
    return made_class(old) is made_class(new)


def _copy_variables(old, new) -> None:
    for source, target in _matched(old, new):
        target.assign(source)
    if not _same(old, new):
        for name in _computed(old, new):
            copy_kernel(old, new, name)


def _matched(old, new) -> list[tuple[keras.Variable, keras.Variable]]:
    """Pair the variables of two layers, but not kernels of other classes."""
    same = _same(old, new)
    kernels = set()
    if not same:
        names = _computed(old, new)
        kernels = _kernel_ids(old, names) | _kernel_ids(new, names)
    found = []
    for variables in ("_trainable_variables", "_non_trainable_variables"):
        sources, targets = (
            [v for v in getattr(layer, variables) if id(v) not in kernels]
            for layer in (old, new)
        )
        pairs = [*zip(sources, targets, strict=False)]
        fit = all(source.shape == target.shape for source, target in pairs)
        if not fit or same and len(sources) != len(targets):
            raise _unlike(old, [variable.path for variable in targets])
        found += pairs
    return found


def _computed(old, new) -> list[str]:
    """List the kernels that one of two layers computes."""
    return [*dict.fromkeys([*kernel_names(old), *kernel_names(new)])]


def _kernel_ids(layer, names) -> set[int]:
    """Return the `id` of the variables that hold some kernels."""
    if isinstance(layer, ComputedKernels):
        return {id(variable) for variable in layer.kernel_variables()}
    return {id(getattr(layer, name)) for name in names}


def _copy_other_state(old, new) -> None:
    """Copy state outside of variables, as a `.keras` file would keep it."""
    kind = made_class(old)
    if kind.load_own_variables not in _LOADERS:
        store: dict = {}
        old.save_own_variables(store)
        new.load_own_variables({k: np.asarray(v) for k, v in store.items()})
        # Those that it derives again may have been trained meanwhile.
        _copy_variables(old, new)
    elif hasattr(new, "finalize_state"):
        new.finalize_state()
    if hasattr(kind, "load_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)


def _unlike(layer, received) -> InputError:
    inside = [inner.name for inner in layer._layers]
    expected = [variable.path for variable in own_variables(layer)]
    return InputError(
        f"Layer {layer.name!r} cannot be copied: its configuration makes a "
        "layer with other variables or layers. Expected "
        f"{expected + inside}. Received: {received}"
    )


@contextlib.contextmanager
def _cloning(operation: keras.Operation) -> Iterator[None]:
    """Refuse in one line a layer that its configuration cannot restore."""
    try:
        yield
    except InputError:
        raise
    except (NotImplementedError, TypeError, ValueError) as error:
        reason = one_line(error)
        raise InputError(
            f"Layer {operation.name!r} cannot be cloned. Expected a layer "
            "that can be made again from its `get_config()`, which those "
            "with Python lambdas or without that method cannot. "
            f"Received: {type(operation).__name__} ({reason}). To make "
            "its model sparse use `cb.sparsify_layers(model, ...)`, which "
            "clones nothing."
        ) from error
