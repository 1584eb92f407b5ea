"""The state of an algorithm in the weights files of the model."""

from collections.abc import Mapping
from typing import Protocol

import keras
import numpy as np
from keras.src.saving.keras_saveable import KerasSaveable

NAME, STEP = "algorithm", "step"


class Owner(Protocol):
    """A callback whose state is saved."""

    def saved(self) -> tuple[str, int, dict[str, np.ndarray]] | None:
        """Return the algorithm's name, the step up to which its events have
        happened and its state, or `None` before it begins."""

    def load(self, name: str, step: int, state: dict[str, np.ndarray]) -> None:
        """Take over what `saved` returned."""


class SavedState(KerasSaveable):
    """Makes Keras save the state of a callback with the weights of its model.

    As an attribute of the model it is part of every weights file, so that
    `BackupAndRestore` and `load_weights` bring the state back along with the
    masks that it belongs to.

    Args:
        owner: `Owner`, or `None` in a copy of the model, which has no state.
    """

    def __init__(self, owner: Owner | None):
        self.owner = owner

    def __deepcopy__(self, memo):
        return SavedState(None)

    def save_own_variables(self, store):
        """Write the state into a file of Keras."""
        found = self.owner and self.owner.saved()
        if found is not None:
            name, step, state = found
            store[NAME] = np.frombuffer(name.encode(), np.uint8)
            store[STEP] = np.int64(step)
            for key, value in state.items():
                # A slash would make a group.
                store[f"state:{key.replace('/', '|')}"] = np.asarray(value)

    def load_own_variables(self, store):
        """Read the state, where the file has one."""
        arrays: Mapping = {key: np.array(store[key]) for key in store.keys()}
        if self.owner is not None and NAME in arrays:
            state = {
                key.removeprefix("state:").replace("|", "/"): value
                for key, value in arrays.items()
                if key.startswith("state:")
            }
            name = arrays[NAME].tobytes().decode()
            self.owner.load(name, int(arrays[STEP]), state)

    def _obj_type(self):
        # One of those that Keras knows; it only tells which attributes of
        # this object hold no state of their own.
        return "Loss"


def attach(
    owner: Owner,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer | None,
) -> None:
    """Make a callback's state part of the weights files of its model.

    Args:
        owner: `Owner`.
        model: Keras model.
        optimizer: The one that the callback follows, `None` for that of
            `compile`. Its place in the model makes the name in files.
    """
    name = "reallocation_state"
    if optimizer is not None:
        held = [key for key, value in vars(model).items() if value is optimizer]
        name += f"_{min(held, default=optimizer.name)}"
    # Not by assignment, which Keras tracks.
    vars(model)[name] = SavedState(owner)


def detach(owner: Owner, model: keras.Model) -> None:
    """Undo `attach`."""
    for name, value in [*vars(model).items()]:
        if isinstance(value, SavedState) and value.owner is owner:
            del vars(model)[name]
