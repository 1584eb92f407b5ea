"""From a dense Keras model to a sparse one, and back."""

import fnmatch
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np

from cb import layers
from cb.errors import InputError
from cb.layers.masked import Masked
from cb.layers.masked import masked_kernels
from cb.layers.masked import ordered_layers
from cb.registry import unknown
from cb.sparsity import distributions
from cb.variables import read

MASKED_CLASSES = {
    keras.layers.Dense: layers.MaskedDense,
    keras.layers.EinsumDense: layers.MaskedEinsumDense,
    keras.layers.Conv1D: layers.MaskedConv1D,
    keras.layers.Conv2D: layers.MaskedConv2D,
    keras.layers.Conv3D: layers.MaskedConv3D,
    keras.layers.DepthwiseConv2D: layers.MaskedDepthwiseConv2D,
    keras.layers.Conv2DTranspose: layers.MaskedConv2DTranspose,
}
DENSE_CLASSES = {masked: dense for dense, masked in MASKED_CLASSES.items()}
GRANULARITIES = ("weight",)


def sparsify(
    model: keras.Model,
    sparsity: float,
    distribution: str = "erk",
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    granularity: str = "weight",
    seed: int = 0,
) -> keras.Model:
    """Make a sparse copy of a Keras model.

    The copy has masked layers in place of the layers with a kernel, the same
    weights (inactive ones keep theirs under the mask until training starts),
    names, inputs and outputs, and no optimizer.

    Args:
        model: Keras model, Sequential or functional, built.
        sparsity: Float in [0, 1), the part of the masked kernels' weights
            that is inactive; exact to one connection.
        distribution: Spec of a distribution, e.g. `"erk"` or `"uniform"`.
        include: Patterns of layer names to mask, such as `"conv*"`. Defaults
            to every layer with a kernel.
        exclude: Patterns of layer names to leave dense.
        granularity: `"weight"`, what a mask entry stands for.
        seed: Integer, decides the masks.

    Returns:
        A Keras model.

    Raises:
        InputError: If an argument is wrong, or the model cannot be cloned,
            is sparse already or has no kernels.

    Example:

    >>> model = cb.sparsify(keras.applications.MobileNetV2(), sparsity=0.9)
    """
    if granularity not in GRANULARITIES:
        raise unknown("granularity", granularity, GRANULARITIES)
    _check_dense(model)
    chosen = _chosen(model, include, exclude)
    sparse = _convert(model, lambda layer: chosen.get(id(layer), type(layer)))
    kernels = masked_kernels(sparse)
    shapes = {kernel.key: tuple(kernel.weight.shape) for kernel in kernels}
    counts = distributions.connection_counts(
        shapes,
        sparsity,
        distribution,
        names={kernel.key: kernel.name for kernel in kernels},
    )
    masks = distributions.random_masks(shapes, counts, seed)
    for kernel in kernels:
        kernel.mask.assign(masks[kernel.key])
    return sparse


def strip(model: keras.Model) -> keras.Model:
    """Make a plain Keras copy of a sparse model, zeros folded in.

    Args:
        model: Keras model with masked layers.

    Returns:
        A Keras model with the same outputs and no layer of `cb` in the
        place of a masked one.
    """
    plain = _convert(
        model, lambda layer: DENSE_CLASSES.get(type(layer), type(layer))
    )
    for masked, dense in zip(
        ordered_layers(model), ordered_layers(plain), strict=True
    ):
        if isinstance(masked, Masked):
            weights = read(masked.raw_kernel)
            mask = read(masked.mask)
            zero = np.zeros((), weights.dtype)
            dense.kernel.assign(np.where(mask != 0, weights, zero))
    return plain


def _check_dense(model: keras.Model) -> None:
    if not model.built:
        raise InputError(
            f"Model {model.name!r} must be built before it is sparsified. "
            "Call `model.build(input_shape)` first."
        )
    if masked_kernels(model):
        raise InputError(
            f"Model {model.name!r} is sparse already. Use `cb.strip(model)` "
            "first to start from its dense form."
        )


def _chosen(model, include, exclude) -> dict[int, type]:
    """Map the layers to mask (by identity) to their masked class."""
    candidates = [
        layer
        for layer in ordered_layers(model)
        if type(layer) in MASKED_CLASSES
    ]
    if not candidates:
        raise InputError(
            f"Model {model.name!r} has no layer with a kernel that can be "
            f"masked. Expected one of "
            f"{sorted(kind.__name__ for kind in MASKED_CLASSES)}."
        )
    names = [layer.name for layer in candidates]
    wanted = set(names)
    if include is not None:
        wanted = _matching(names, include, "include")
    wanted -= _matching(names, exclude or (), "exclude")
    if not wanted:
        raise InputError(
            "Arguments `include` and `exclude` leave no layer to mask. "
            f"Received: include={include}, exclude={exclude}; the layers "
            f"are {names}"
        )
    return {
        id(layer): MASKED_CLASSES[type(layer)]
        for layer in candidates
        if layer.name in wanted
    }


def _matching(names, patterns, argument) -> set[str]:
    if isinstance(patterns, str):
        patterns = [patterns]
    matching = set()
    for pattern in patterns:
        found = fnmatch.filter(names, pattern)
        if not found:
            raise InputError(
                f"Argument `{argument}` holds a pattern that matches no "
                f"layer. Expected a pattern for one of {names}. "
                f"Received: {pattern!r}"
            )
        matching.update(found)
    return matching


def _convert(
    model: keras.Model,
    new_class: Callable[[keras.layers.Layer], type[keras.layers.Layer]],
) -> keras.Model:
    """Clone a model with other layer classes and copy its variables."""

    def clone(layer):
        return new_class(layer).from_config(layer.get_config())

    try:
        copy = keras.models.clone_model(
            model, clone_function=clone, recursive=True
        )
    except ValueError as error:
        raise InputError(
            f"Model {model.name!r} cannot be cloned. Expected a Sequential "
            f"or functional model. Received: {type(model).__name__} "
            f"({error})"
        ) from error
    if not copy.built:
        copy.build(model.input_shape)
    for old, new in zip(
        ordered_layers(model), ordered_layers(copy), strict=True
    ):
        _copy_variables(old, new)
    return copy


def _copy_variables(old, new) -> None:
    for source, target in zip(
        old._trainable_variables, new._trainable_variables, strict=True
    ):
        target.assign(source)
    # A mask is the last non-trainable variable, and only one side has it.
    for source, target in zip(
        old._non_trainable_variables,
        new._non_trainable_variables,
        strict=False,
    ):
        if source.name != "mask" and target.name != "mask":
            target.assign(source)
    for source, target in zip(
        old._seed_generators, new._seed_generators, strict=True
    ):
        target.state.assign(source.state)
