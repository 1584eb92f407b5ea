"""The weights and masks of another run that a model starts from."""

import keras
import numpy as np

from cb.callbacks.reallocation.copied_masks import read_initial
from cb.callbacks.reallocation.copied_masks import write_initial
from cb.callbacks.training_state import masked_form
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import write_all
from cb.distribute import collectives
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import mask_name
from cb.layers.masked import masked_kernels
from cb.runs.source import locate
from cb.runs.source import read_arrays


def initialize(model: keras.Model, text: str) -> None:
    """Copy weights, and masks where there are any, from another run.

    Args:
        model: Keras model.
        text: `RUN[:initial|best|last|N]`, a run folder and a checkpoint.

    Raises:
        InputError: If there is no such checkpoint, or it does not fit.
    """
    arrays, (path, checkpoint) = collectives.broadcast(
        model.distribute_strategy, lambda: (read_arrays(text), locate(text))
    )
    variables = model_variables(model)
    dense = not any(key.endswith(("/mask", "/starts")) for key in arrays)
    if dense:
        # Keep the masks that were just drawn.
        others = [key for key in variables if not key.endswith("/mask")]
        variables = {key: variables[key] for key in others}
    asked = _density(model)
    write_all(variables, arrays, averaged=True)
    what = "weights" if dense else "weights and masks"
    print(f"Starting from the {what} of {path} ({checkpoint or 'last'})")
    found = _density(model)
    if abs(found - asked) > 1e-3:
        print(
            f"Its masks have density {found:.4f}, not the {asked:.4f} that the "
            "flags ask for; --masks=magnitude prunes its weights to that"
        )


def _density(model: keras.Model) -> float:
    """Return the fraction of the masked weights that is active."""
    masks = [read(kernel.mask) for kernel in masked_kernels(model)]
    active = sum(np.count_nonzero(mask) for mask in masks)
    return active / max(sum(mask.size for mask in masks), 1)


def initialize_dense(model: keras.Model, text: str) -> None:
    """Copy weights from another run into a dense model.

    Args:
        model: Keras model without masks.
        text: As in `initialize`. Inactive weights become zeros.

    Raises:
        InputError: As `initialize`.
    """
    arrays, (path, checkpoint) = collectives.broadcast(
        model.distribute_strategy, lambda: (read_arrays(text), locate(text))
    )
    variables = model_variables(model)
    arrays = masked_form(arrays, variables)
    for name in variables:
        layer, _, weight = name.rpartition("/")
        mask = arrays.get(f"{layer}/{mask_name(weight)}")
        if mask is not None and name in arrays:
            arrays[name] = np.where(mask != 0, arrays[name], 0)
    write_all(variables, arrays, averaged=True)
    print(f"Starting from the weights of {path} ({checkpoint or 'last'})")


def rewind(model: keras.Model, text: str) -> None:
    """Return the weights of a model, not its masks, to a run's first ones.

    Args:
        model: Masked Keras model.
        text: As in `initialize`.

    Raises:
        InputError: If the run has saved only some of its first weights.
    """
    initial, (path, _) = collectives.broadcast(
        model.distribute_strategy, lambda: (read_initial(text), locate(text))
    )
    if any(name.endswith("/starts") for name in initial):
        raise InputError(
            "Argument `masks` must not be 'lottery_ticket' where the run of "
            "`initialize_from` trained CSR kernels: it saved the initial "
            "weights of its first connections only. "
            f"Received: initialize_from={text!r}"
        )
    write_initial(model, initial)
    print(f"Its weights start as those of {path} did")
