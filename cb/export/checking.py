"""Whether a SavedModel computes what the model does that it came from."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cb.conversion.clone import graph_layers
from cb.errors import RunError

SIGNATURE = "serving_default"
_EXAMPLES = 3
# Sizes of axes that are not fixed.
_SIDE = 32
# Largest difference relative to the largest output (or one): rounding.
_TOLERANCE, _COARSE = 1e-4, 0.1


def inputs_for(
    signature: tf.types.experimental.ConcreteFunction,
    examples: int = _EXAMPLES,
    seed: int = 0,
) -> dict[str, tf.Tensor]:
    """Draw inputs for a signature.

    Args:
        signature: Signature of a SavedModel.
        examples: Integer.
        seed: Integer.

    Returns:
        Dict of name to a tensor; zeros and ones for integers.
    """
    random = np.random.default_rng(seed)
    drawn = {}
    for name, spec in signature.structured_input_signature[1].items():
        shape = [side or _SIDE for side in spec.shape[1:]]
        size = (examples, *shape)
        values: Any = random.normal(size=size)
        if not spec.dtype.is_floating:
            values = random.integers(0, 2, size)
        drawn[name] = tf.cast(values, spec.dtype)
    return drawn


def check(model: keras.Model, path: str) -> None:
    """Compare a SavedModel with the model that it came from.

    Args:
        model: Keras model.
        path: String, folder of the SavedModel.

    Raises:
        RunError: If their outputs differ by more than rounding.
    """
    saved = tf.saved_model.load(path)
    signature = saved.signatures[SIGNATURE]
    drawn = inputs_for(signature)
    expected = model(_arranged(model, drawn), training=False)
    if isinstance(expected, dict):
        pairs = [(value, name) for name, value in expected.items()]
    else:
        flat = enumerate(keras.tree.flatten(expected))
        pairs = [(value, f"output_{index}") for index, value in flat]
    found = signature(**drawn)
    policies = {layer.compute_dtype for layer in graph_layers(model)}
    coarse = bool(policies & {"float16", "bfloat16"})
    tolerance = _COARSE if coarse else _TOLERANCE
    for value, name in pairs:
        value, other = np.array(value, "float64"), np.array(found[name])
        scale = max(1.0, float(np.abs(value).max(initial=0.0)))
        difference = np.abs(value - other).max(initial=0.0)
        if not difference <= tolerance * scale:
            raise RunError(
                f"The exported model differs from {model.name!r} by "
                f"{difference:.2e}, where outputs reach {scale:.2e}. "
                "Nothing was written."
            )


def _arranged(model, drawn: dict[str, tf.Tensor]):
    """Return inputs in the structure that a model takes."""
    names = [tensor.name for tensor in model.inputs]
    values = [*drawn.values()]
    if {*names} == {*drawn}:
        values = [drawn[name] for name in names]
    structure = getattr(model, "_inputs_struct", None)
    if structure is None or len(values) == 1:
        if not isinstance(structure, dict | list | tuple):
            return values[0]
    return keras.tree.pack_sequence_as(structure, values)
