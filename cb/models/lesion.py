"""Networks without some of their blocks."""

import re
from collections.abc import Sequence

import keras

from cb.errors import InputError

# The zoo names what belongs to block number k, and its output `block_k`.
PART = re.compile(r"block_(\d+)(_.*)?")


def block_names(model: keras.Model) -> list[str]:
    """List the names of the layers that give the blocks' outputs."""
    names: list[str] = []
    while f"block_{len(names) + 1}" in {layer.name for layer in model.layers}:
        names.append(f"block_{len(names) + 1}")
    return names


def droppable(model: keras.Model) -> list[int]:
    """List the numbers, from 1, of the blocks that can be left out.

    These are residual blocks, and others whose output has the shape of
    their input.

    Args:
        model: Functional Keras model.

    Returns:
        List of integers, empty if the model has no numbered blocks.
    """
    known = {layer.name for layer in model.layers}
    inputs: dict[int, keras.KerasTensor] = {}
    for layer in model.layers:
        part = PART.fullmatch(layer.name)
        if part:
            inputs.setdefault(int(part[1]), layer.input)
    return [
        number
        for number, name in enumerate(block_names(model), start=1)
        if f"{name}_add" in known
        or inputs[number].shape == model.get_layer(name).output.shape
    ]


def drop_blocks(model: keras.Model, numbers: Sequence[int]) -> keras.Model:
    """Leave out blocks; nothing of them is computed any more.

    What is left of a residual block is the ReLU of its shortcut, and of
    another block its input.

    Args:
        model: Functional Keras model with layers named `block_1`,
            `block_1_...` and so on, as `fnn`, `bundle_vgg` and
            `bundle_resnet` have them.
        numbers: Integers, the blocks to leave out, from 1.

    Returns:
        A Keras model with copies of the other weights.

    Raises:
        InputError: If there is no such block, or it changes the shape.
    """
    possible = droppable(model)
    if not set(numbers) <= set(possible):
        raise InputError(
            "Argument `lesion` must number blocks that can be left out, "
            f"{possible}. Received: lesion={tuple(numbers)}"
        )
    known = {layer.name for layer in model.layers}
    names = {f"block_{number}" for number in numbers}
    additions = {f"{name}_add" for name in names} & known
    plain = {name for name in names if f"{name}_add" not in known}

    def call(layer, *args, **kwargs):
        if layer.name in additions:
            return args[0][1]
        part = PART.fullmatch(layer.name)
        if part and f"block_{part[1]}" in plain:
            return args[0]
        return layer(*args, **kwargs)

    lesioned = keras.models.clone_model(
        model, clone_function=_same, call_function=call
    )
    for layer in [layer for layer in lesioned.layers if layer.weights]:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    return lesioned


def _same(layer):
    return type(layer).from_config(layer.get_config())
