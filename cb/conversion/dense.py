"""From a sparse Keras model to a plain one."""

import os
from collections.abc import Sequence

import keras

from cb.conversion.classes import copy_with
from cb.conversion.classes import dense_form
from cb.conversion.duplicates import copy_whole
from cb.errors import InputError
from cb.layers.computed_kernels import ComputedKernels
from cb.layers.copying import copy_model_state
from cb.layers.masked import Masked
from cb.layers.masked_in_place import remove_masks
from cb.layers.traversal import made_by_its_class
from cb.layers.traversal import ordered_layers


def strip(model: keras.Model) -> keras.Model:
    """Make a plain Keras copy of a sparse model, zeros folded in.

    Tied kernels are written out. Keras's own functions load the copy without
    `cb`. The copy is of the model's class.

    Args:
        model: Keras model with masked or tied layers, built.

    Returns:
        A Keras model with the same outputs, without an optimizer.

    Raises:
        InputError: If the model cannot be copied.
    """
    if made_by_its_class(model) and not _computed(model):
        return strip_layers(copy_whole(model, "cb.strip_layers(model)"))
    plain = copy_with(model, lambda layer, kind: dense_form(kind))
    remove_masks(plain)
    return plain


def strip_layers(model: keras.Model) -> keras.Model:
    """Make the layers of a model plain again, in place, zeros folded in.

    For models that cannot be copied, which `strip` refuses. Compile the model
    again afterwards.

    Args:
        model: Keras model with masked layers, built.

    Returns:
        The same model.

    Raises:
        InputError: If it has layers with CSR or tied kernels.
    """
    for layer in _computed(model):
        raise InputError(
            f"Layer {layer.name!r} cannot be changed in place. Expected "
            f"masked layers. Received: {type(layer).__name__}. Use "
            "`cb.strip(model)`, which makes a copy."
        )
    remove_masks(model)
    forget_functions(model)
    return model


def _computed(model) -> list[keras.layers.Layer]:
    """List the layers with kernels that are computed from no mask."""
    return [
        layer
        for layer in ordered_layers(model)
        if isinstance(layer, ComputedKernels) and not isinstance(layer, Masked)
    ]


def forget_functions(model: keras.Model) -> None:
    """Drop the functions that were traced with other layers."""
    for function in ("train_function", "test_function", "predict_function"):
        setattr(model, function, None)


def load_dense_weights(
    model: keras.Model, weights: str | os.PathLike | Sequence, **kwargs
) -> None:
    """Load the weights of the dense model into a sparse one; masks stay.

    The other way is `cb.strip(model).save_weights(path)`, or `get_weights()`
    of it.

    Args:
        model: Keras model with masked layers, or layers on CSR kernels, built.
        weights: String, a `.weights.h5` or `.h5` file of the dense model; or
            a list of arrays, its `get_weights()`. Weights where a mask is
            zero stay under the mask.
        **kwargs: As in `keras.Model.load_weights`, for a file.

    Raises:
        InputError: If the model has no such layers, or tied ones.
        ValueError: If the weights do not fit, as Keras raises it.

    Example:

    >>> sparse = cb.sparsify(model, 0.9)
    >>> cb.conversion.load_dense_weights(sparse, "pretrained.weights.h5")
    """
    layers = ordered_layers(model)
    computed = [one for one in layers if isinstance(one, ComputedKernels)]
    for layer in computed:
        if not layer.masked_weights:
            raise InputError(
                f"Layer {layer.name!r} has fewer values than dense weights. "
                "Expected masked layers: load the weights into the dense "
                "model, and convert that. Received: "
                f"{type(layer).__name__}"
            )
    if not computed:
        raise InputError(
            "Dense weights are loaded into a model with masked layers. For "
            "others use `model.load_weights`. Received: no masked layer in "
            f"model {model.name!r}"
        )
    plain = strip(model)
    if isinstance(weights, str | os.PathLike):
        plain.load_weights(weights, **kwargs)
    else:
        plain.set_weights(weights)
    copy_model_state(plain, model)
