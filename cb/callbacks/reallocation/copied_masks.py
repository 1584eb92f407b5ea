"""Masks, and initial weights, of another run."""

from collections.abc import Callable
from collections.abc import Mapping

import keras
import numpy as np

from cb.callbacks.training_state import masked_form
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import write_all
from cb.distribute import collectives
from cb.runs.source import locate
from cb.runs.source import read_arrays
from cb.sparsity.reallocation.base import Algorithm

Arrays = Mapping[str, np.ndarray]


def copy_source(
    model: keras.Model, source: Arrays, algorithm: Algorithm
) -> None:
    """Copy masks, and initial weights if asked for, from another run.

    Args:
        model: Keras model.
        source: Dict of name to array, the checkpoint of the run.
        algorithm: `Algorithm` with `copy_mask_from` and `initial_weights`.
    """

    def decided(decide: Callable[[], Arrays]) -> Arrays:
        return collectives.broadcast(model.distribute_strategy, decide)

    variables = model_variables(model)
    masks = {k: v for k, v in variables.items() if k.endswith("mask")}
    whole = masked_form(source, variables)
    chosen = {k: whole[k] for k in whole if k in masks}
    write_all(masks, decided(lambda: chosen))
    if algorithm.initial_weights:
        text = str(algorithm.copy_mask_from)
        write_initial(model, decided(lambda: read_initial(text)))


def read_initial(text: str) -> Arrays:
    """Read the weights that a run began with.

    Args:
        text: `RUN[:initial|best|last|N]`; the checkpoint does not matter.
    """
    return read_arrays(locate(text)[0], "initial")


def write_initial(model: keras.Model, initial: Arrays) -> None:
    """Set all weights of a model, but no masks, to those that a run began with.

    Args:
        model: Keras model.
        initial: Dict of name to array, from `read_initial`.
    """
    weights = {
        name: variable
        for name, variable in model_variables(model).items()
        if not name.endswith("mask") and "seed" not in name
    }
    write_all(weights, initial)
