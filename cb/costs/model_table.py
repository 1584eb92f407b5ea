"""A model's layers as a table that counts active weights."""

import math
from collections.abc import Callable

import keras

from cb.conversion.csr import to_masked
from cb.costs.weights import active_counts
from cb.costs.weights import shared_out
from cb.errors import argument_error
from cb.layers.traversal import named_layers
from cb.layers.traversal import own_variables
from cb.text import table


def summary(
    model: keras.Model, print_fn: Callable[[str], object] = print
) -> None:
    """Print the layers of a model with their active parameters.

    `model.summary()` counts masks as parameters, so that a sparse model looks
    twice as large as the dense one. Here masks are no parameters, and neither
    inactive weights nor zeros of stripped kernels are active.

    Args:
        model: Keras model, built, sparse or not.
        print_fn: Callable that takes the text.

    Raises:
        InputError: If the model is not built.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> cb.summary(cb.sparsify(model, 0.5))
    Model: sequential
    layer  class        output     parameters  active  density
    dense  MaskedDense  (None, 4)          36      20   0.5556
    total                                  36      20   0.5556
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise argument_error("model", "a Keras model that is built", model)
    shapes = {name: _output_shape(layer) for name, layer in named_layers(model)}
    kinds = {name: type(layer).__name__ for name, layer in named_layers(model)}
    # CSR kernels as the matrices that they stand for.
    masked = to_masked(model)
    layers = named_layers(masked)[1:]
    own = shared_out(active_counts(masked), [layer for _, layer in layers])
    lines = [("layer", "class", "output", "parameters", "active", "density")]
    total = total_active = 0
    for name, layer in layers:
        counts = own[id(layer)]
        variables = [v for v in own_variables(layer) if id(v) in counts]
        size = sum(math.prod(variable.shape) for variable in variables)
        # A bias or a mean of zero is there all the same.
        active = size + sum(
            counts[id(variable)] - math.prod(variable.shape)
            for variable in variables
            if len(variable.shape) > 1
        )
        total, total_active = total + size, total_active + active
        if size:
            cells = _numbers(size, active)
            lines.append((name, kinds[name], shapes[name], *cells))
    lines.append(("total", "", "", *_numbers(total, total_active)))
    text = table(lines, numbers=(3, 4, 5))
    print_fn(f"Model: {model.name}\n{text}")


def _numbers(size: int, active: int) -> tuple[str, str, str]:
    density = f"{active / size:.4f}" if size else ""
    return f"{size:,}", f"{active:,}", density


def _output_shape(layer) -> str:
    """Return the shape of a layer's output, empty outside of a graph."""
    try:
        output = layer.output
    except (AttributeError, ValueError):
        return ""
    shapes = [str(one.shape) for one in keras.tree.flatten(output)]
    return ", ".join(shapes)
