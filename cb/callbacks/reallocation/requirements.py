"""Refuses trainings that an algorithm cannot follow."""

from collections.abc import Mapping
from collections.abc import Sequence

import keras

from cb.callbacks.reallocation.followed import Followed
from cb.callbacks.slots import inner
from cb.errors import InputError
from cb.sparsity.reallocation.base import Algorithm


def needs_probe(algorithm: Algorithm) -> bool:
    """Return whether an algorithm reads gradients of probe batches."""
    return algorithm.gradients == "probe" and (
        algorithm.needs_gradients or algorithm.needs_curvature
    )


def needs_single_steps(algorithm: Algorithm) -> bool:
    """Return whether an algorithm reads or acts after every single step."""
    return algorithm.gradients != "probe" or algorithm.every_step


def check_training(
    algorithm: Algorithm,
    model: keras.Model,
    followed: Followed,
    has_data: bool,
) -> None:
    """Refuse a training that an algorithm cannot follow.

    Args:
        algorithm: `Algorithm`.
        model: Compiled Keras model.
        followed: `Followed`.
        has_data: Boolean, whether there are data for probe batches.

    Raises:
        InputError: As said.
    """
    name = type(algorithm).__name__
    if needs_probe(algorithm) and not has_data:
        raise InputError(
            f"Algorithm {name} needs gradients. Pass a `dataset` to take "
            "probe batches from. Received: dataset=None"
        )
    running = algorithm.gradients != "probe"
    if model.steps_per_execution > 1 and needs_single_steps(algorithm):
        what = "reads single steps" if running else "acts after every step"
        raise InputError(
            f"Algorithm {name} {what}. Compile the model with "
            "`steps_per_execution=1`. Received: "
            f"steps_per_execution={model.steps_per_execution}"
        )
    accumulation = inner(followed.optimizer).gradient_accumulation_steps
    if accumulation and (running or algorithm.noise_on_gradients):
        raise InputError(
            f"Algorithm {name}, with these arguments, needs the gradient "
            "of an update in one batch. Compile the model without "
            "gradient accumulation. Received: "
            f"gradient_accumulation_steps={accumulation}"
        )
    if followed.updates > 1 and (running or algorithm.every_step):
        raise InputError(
            f"Algorithm {name}, with these arguments, needs an optimizer that "
            "makes one update a batch. Received: "
            f"{type(followed.optimizer).__name__} with {followed.updates}"
        )


def check_epochs(algorithm: Algorithm, epochs: int) -> None:
    """Refuse another number of epochs than an algorithm decides.

    Args:
        algorithm: `Algorithm`.
        epochs: Integer, those of `fit`.
    """
    wanted = algorithm.total_epochs()
    if wanted not in (None, epochs):
        raise InputError(
            "Arguments `iterations` and `post_epochs` need a training of "
            f"{wanted} epochs. Received: epochs={epochs}"
        )


def check_order(
    callbacks: Sequence[keras.callbacks.Callback],
    callback: keras.callbacks.Callback,
) -> None:
    """Refuse callbacks that leave other weights in the model before an event.

    Args:
        callbacks: List of the callbacks of a `fit`, in order.
        callback: The one that moves connections.

    Raises:
        InputError: As said.
    """
    for one in callbacks:
        if one is callback:
            return
        if isinstance(one, keras.callbacks.SwapEMAWeights):
            raise InputError(
                "Callback `SwapEMAWeights` must come after `Reallocation`, or "
                "events would see averages for weights."
            )


def check_source(algorithm: Algorithm, source: Mapping) -> None:
    """Refuse initial weights of a run that has saved only some of them."""
    sparse = any(key.endswith("/starts") for key in source)
    if sparse and algorithm.initial_weights:
        raise InputError(
            "Argument `initial_weights` must be False where the run of "
            "`copy_mask_from` trained CSR kernels: it saved the initial "
            "weights of its first connections only. "
            "Received: initial_weights=True"
        )
