"""Comparison of a SavedModel with the model that it was exported from."""

import contextlib
import itertools
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.layers.layer import CallContext
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from tensorflow.core.function.polymorphism import function_type

from cb.errors import InputError
from cb.errors import RunError
from cb.errors import first_cause
from cb.errors import one_line
from cb.files.aliases import plain_name
from cb.layers.traversal import ordered_layers

SIGNATURE = "serving_default"
_EXAMPLES = 3
# Where Keras keeps how the layers of a call are called.
_CONTEXT = "current_call_ctx"
# Sizes of the batches that are compared, and how often each is.
BATCHES, _TIMES = (_EXAMPLES, 1), 2
# Sizes to try for axes that are not fixed: deep networks need large images,
# some texts are short; and sound is long, where no input has two such axes.
SIDES, _LONG = (32, 128, 256, 8, 2), 2048
# Largest difference from rounding, relative to the largest output. Smaller
# outputs count as this large, since the terms of their sums may round by more.
_TOLERANCE, _COARSE = 1e-4, 0.1
_LEAST_SCALE = 1e-2


def inputs_for(
    signature: tf.types.experimental.ConcreteFunction,
    examples: int = _EXAMPLES,
    seed: int = 0,
) -> dict[str, tf.Tensor]:
    """Draw inputs for a signature.

    Args:
        signature: Signature of a SavedModel.
        examples: Integer, the size of the batch unless the signature fixes
            it.
        seed: Integer.

    Returns:
        Dict of name to a tensor; zeros and ones for integers.
    """
    specs = signature.structured_input_signature[1]
    return inputs_taken(signature, specs, examples, seed)


def inputs_taken(
    function: Callable,
    specs: dict[str, tf.TensorSpec],
    examples: int,
    seed: int = 0,
) -> dict[str, tf.Tensor]:
    """Draw inputs for a function of tensors by name; arguments as above."""
    shapes = [spec.shape for spec in specs.values()]
    *tries, last = itertools.product((False, True), sides(shapes))

    def drawn(indices, side):
        random = np.random.default_rng(seed)
        return {
            name: draw(spec.shape, spec.dtype, random, examples, side, indices)
            for name, spec in specs.items()
        }

    for one in tries:
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            found = drawn(*one)
            function(**found)
            return found
    return drawn(*last)


def sides(shapes: Iterable[Sequence[int | None]]) -> tuple[int, ...]:
    """Return the sizes to try for axes of inputs that are not fixed."""
    free = max(list(shape)[1:].count(None) for shape in shapes)
    if not free:
        return SIDES[:1]
    return SIDES if free > 1 else (*SIDES, _LONG)


def draw(
    shape: Sequence[int | None],
    dtype: str | tf.DType,
    random: np.random.Generator,
    examples: int = _EXAMPLES,
    side: int = SIDES[0],
    indices: bool = False,
) -> tf.Tensor:
    """Draw an input.

    Args:
        shape: Sequence of sizes, first that of the batch; `None` where it
            is not fixed.
        dtype: TensorFlow type or its name.
        random: Numpy generator.
        examples: Integer, the size of the batch if it is not fixed.
        side: Integer, that of other axes that are not fixed.
        indices: Boolean, whether floats stand for integers too, as in the
            input of an embedding.

    Returns:
        Tensor; of zeros and ones if it holds integers or texts of them.
    """
    size = (shape[0] or examples, *[fixed or side for fixed in shape[1:]])
    values: Any = random.normal(size=size)
    if indices or not tf.as_dtype(dtype).is_floating:
        values = random.integers(0, 2, size)
    if dtype in ("string", tf.string):
        return tf.as_string(values)
    return tf.cast(values, dtype)


def fits(found: Sequence[int], shape: Sequence[int | None]) -> bool:
    """Return whether a shape is one of those that `None` stands for."""
    return len(found) == len(shape) and all(
        side in (None, other) for side, other in zip(shape, found, strict=True)
    )


def load_graph(path: str) -> Any:
    """Load a SavedModel from a folder of any name, as TensorFlow does."""
    with plain_name(path) as folder:
        return tf.saved_model.load(folder)


def check(
    model: keras.Model, path: str, inputs: Any
) -> tuple[Any, list[dict[str, tf.Tensor]]]:
    """Compare a SavedModel with the model that it was exported from.

    On several batches, more than once: what is random may hide in one.

    Args:
        model: Keras model.
        path: String, folder of the SavedModel.
        inputs: Structure of the model's symbolic inputs.

    Returns:
        Tuple of the SavedModel, since loading takes seconds, and a list of the
        batches, each a dict of name to tensor.

    Raises:
        InputError: If the model takes none of the inputs that are drawn.
        RunError: If their outputs differ by more than rounding.
    """
    saved = load_graph(path)
    batches = [inputs_for(saved.signatures[SIGNATURE], n, n) for n in BATCHES]
    # Layers that draw at inference too continue as those of the model do.
    with kept_seeds(model) as seeds:
        saved = load_graph(path) if seeds else saved
        for drawn in batches * _TIMES:
            with _taking(model):
                expected = infer(model, arranged(inputs, drawn))
            found = saved.signatures[SIGNATURE](**drawn)
            for name, value in named_outputs(expected).items():
                check_outputs(model.name, value, found[name], tolerance(model))
    return saved, batches


@contextlib.contextmanager
def _taking(model: keras.Model) -> Iterator[None]:
    """Refuse in one line a model that takes none of the inputs drawn."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        raise InputError(
            f"No inputs were found that model {model.name!r} takes, to compare "
            "its export on. Expected `inputs`, arrays of a size that it takes. "
            f"Received: {one_line(first_cause(error))}"
        ) from error


@contextlib.contextmanager
def kept_seeds(model: keras.Model) -> Iterator[list[keras.Variable]]:
    """Restore the states of a model's random generators at the end.

    Args:
        model: Keras model.

    Yields:
        List of the states; empty if nothing draws random numbers.
    """
    layers = ordered_layers(model)
    own = [one.state for it in layers for one in it._seed_generators]
    # From which functions without a seed draw, if any has.
    shared = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    states = [*own, *([shared.state] if shared else [])]
    before = [state.numpy() for state in states]
    try:
        yield states
    finally:
        for state, value in zip(states, before, strict=True):
            state.assign(value)


def infer(model: keras.Model, inputs: Any) -> Any:
    """Call a model for inference, whatever the default of a layer is.

    As with `training=False`, but also where `call` has no such argument.

    Args:
        model: Keras model.
        inputs: Structure of tensors.

    Returns:
        Structure of tensors.
    """
    context = CallContext(entry_layer=None)
    context.set_value("training", False)
    before = global_state.get_global_attribute(_CONTEXT)
    global_state.set_global_attribute(_CONTEXT, context)
    try:
        return model(inputs)
    finally:
        global_state.set_global_attribute(_CONTEXT, before)


def named_outputs(outputs: Any) -> dict[str, Any]:
    """Name the outputs of a model as Keras does in an export."""
    if isinstance(outputs, dict):
        return outputs
    flat = enumerate(keras.tree.flatten(outputs))
    return {f"output_{index}": value for index, value in flat}


def tolerance(model: keras.Model) -> float:
    """Return the tolerance of an export, relative to the largest output."""
    policies = {layer.compute_dtype for layer in ordered_layers(model)}
    return _COARSE if policies & {"float16", "bfloat16"} else _TOLERANCE


def argument_name(name: str) -> str:
    """Return the name that TensorFlow gives to an argument called `name`."""
    return function_type.sanitize_arg_name(name)


def check_outputs(name: str, expected, found, tolerance: float) -> None:
    """Compare an output of an exported model with that of its source.

    Args:
        name: String, that of the model.
        expected: Array, the output of the model.
        found: Array of the same shape, the output of the export.
        tolerance: Float, the largest difference allowed, in parts of the
            largest value expected, or of 0.01 if that is smaller.

    Raises:
        RunError: If they differ by more, or `expected` is not finite.
    """
    expected = np.array(expected, "float64")
    if not np.isfinite(expected).all():
        raise RunError(
            f"Outputs of model {name!r} are not finite, so that no export can "
            "be compared with them. Nothing was written."
        )
    scale = max(_LEAST_SCALE, float(np.abs(expected).max(initial=0.0)))
    difference = np.abs(expected - np.array(found)).max(initial=0.0)
    if not difference <= tolerance * scale:
        raise RunError(
            f"The exported model differs from {name!r} by "
            f"{difference:.2e}, where outputs reach {scale:.2e}. "
            "Nothing was written."
        )


def arranged(inputs, drawn: dict[str, tf.Tensor]):
    """Return drawn inputs in the structure that a model takes."""
    flat = keras.tree.flatten(inputs)
    names = [argument_name(tensor.name) for tensor in flat]
    values = [*drawn.values()]
    if {*names} == {*drawn}:
        values = [drawn[name] for name in names]
    return keras.tree.pack_sequence_as(inputs, values)
