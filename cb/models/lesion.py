"""Networks without some of their blocks."""

import re
from collections.abc import Sequence

import keras

from cb.errors import InputError
from cb.layers.copying import copy_model

# Layers of block number k are named `block_k_...`, and its output `block_k`.
PART = re.compile(r"block_(\d+)(_.*)?")


def block_names(model: keras.Model) -> list[str]:
    """List the names of the layers that return the blocks' outputs."""
    names: list[str] = []
    while f"block_{len(names) + 1}" in {layer.name for layer in model.layers}:
        names.append(f"block_{len(names) + 1}")
    return names


def additions(model: keras.Model) -> dict[int, str]:
    """Find the layers that add branches of residual blocks to shortcuts.

    Args:
        model: Functional Keras model.

    Returns:
        Dict of the number of a block, from 1, to the name of a layer.
    """
    return {
        int(part[1]): layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.Add)
        and (part := PART.fullmatch(layer.name))
    }


def droppable(model: keras.Model) -> list[int]:
    """List the numbers, from 1, of the blocks that can be left out.

    These are residual blocks, and other blocks with weights whose input and
    output have the same shape.

    Args:
        model: Functional Keras model.

    Returns:
        List of integers, empty if the model has no numbered blocks.
    """
    parts: dict[int, list[keras.layers.Layer]] = {}
    for layer in model.layers:
        if part := PART.fullmatch(layer.name):
            parts.setdefault(int(part[1]), []).append(layer)
    residual = additions(model)
    return [
        number
        for number, name in enumerate(block_names(model), start=1)
        if number in residual
        or any(layer.weights for layer in parts[number])
        and parts[number][0].input.shape == model.get_layer(name).output.shape
    ]


def drop_blocks(model: keras.Model, numbers: Sequence[int]) -> keras.Model:
    """Return a copy of a model without some of its blocks.

    A residual block becomes its shortcut and the layers after the addition;
    any other block becomes its input.

    Args:
        model: Functional Keras model with layers named `block_1`,
            `block_1_...` and so on, as `fnn`, `bundle_vgg`, `bundle_resnet`
            and most residual models of the zoo have.
        numbers: Integers, the blocks to leave out, from 1.

    Returns:
        A Keras model without an optimizer.

    Raises:
        InputError: If there is no such block, or it changes the shape.
    """
    possible = droppable(model)
    if not set(numbers) <= set(possible):
        raise InputError(
            "Argument `lesion` must number blocks that can be left out, "
            f"{possible}. Received: lesion={tuple(numbers)}"
        )
    residual = additions(model)
    added = {residual[number] for number in numbers if number in residual}
    plain = set(numbers) - set(residual)

    def call(layer, *args, **kwargs):
        if layer.name in added:
            _, shortcut = args[0]
            return shortcut
        part = PART.fullmatch(layer.name)
        if part and int(part[1]) in plain:
            return args[0]
        return layer(*args, **kwargs)

    return copy_model(model, call=call)
