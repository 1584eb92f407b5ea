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
        initial = decided(lambda: read_arrays(locate(text)[0], "initial"))
        others = [k for k in variables if k not in masks]
        weights = {k: variables[k] for k in others if "seed" not in k}
        write_all(weights, initial)
