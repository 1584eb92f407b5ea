"""A place in the files of a model for the states of algorithms."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import NamedTuple
from typing import Protocol

import numpy as np
from keras.src.saving.keras_saveable import KerasSaveable

_NAME, _ARGUMENTS = "algorithm", "arguments"
_STEP, _STATE = "step", "state"


class AlgorithmState(NamedTuple):
    """What a file holds of an algorithm.

    Attributes:
        name: String, its class.
        arguments: String, of its arguments; empty if they are not known.
        step: Integer, the step up to which its events have happened.
        arrays: Dict of name to array.
    """

    name: str
    arguments: str
    step: int
    arrays: Mapping[str, np.ndarray]


class Owner(Protocol):
    """A callback whose state is saved."""

    def saved(self) -> AlgorithmState | None:
        """Return the state, or `None` before the algorithm begins."""

    def load(self, state: AlgorithmState) -> None:
        """Take over what `saved` returned."""


class SavedStates(KerasSaveable):
    """Makes Keras save the states of callbacks with a masked layer.

    The first masked layer of a model holds those of all, in every file of
    weights, so that `BackupAndRestore`, `load_weights` and `load_model` bring
    them back along with the masks that they belong to. States that are loaded
    before there is a callback wait for it.

    Attributes:
        owners: Dict of key to `Owner`.
        loaded: Dict of key to `AlgorithmState` that waits.
    """

    def __init__(self):
        self.owners: dict[str, Owner] = {}
        self.loaded: dict[str, AlgorithmState] = {}

    def __deepcopy__(self, memo):
        return SavedStates()

    def _found(self) -> dict[str, AlgorithmState]:
        found = {key: owner.saved() for key, owner in self.owners.items()}
        there = {key: one for key, one in found.items() if one is not None}
        return {**self.loaded, **there}

    @property
    def save_own_variables(self) -> Callable:
        """The function that writes the states; missing if there are none."""
        found = self._found()
        if not found:
            raise AttributeError("There are no states to save.")

        def save(store):
            for key, (name, arguments, step, arrays) in found.items():
                store[f"{key}:{_NAME}"] = _bytes(name)
                store[f"{key}:{_ARGUMENTS}"] = _bytes(arguments)
                store[f"{key}:{_STEP}"] = np.int64(step)
                for entry, value in arrays.items():
                    # A slash would make a group.
                    entry = entry.replace("/", "|")
                    store[f"{key}:{_STATE}:{entry}"] = np.asarray(value)

        return save

    def load_own_variables(self, store):
        """Read the states, where the file has some."""
        self.loaded = {}
        entries: Mapping = {key: np.array(store[key]) for key in store.keys()}
        for entry, name in entries.items():
            key, _, kind = entry.partition(":")
            if kind != _NAME:
                continue
            start = f"{key}:{_STATE}:"
            arrays = {
                one.removeprefix(start).replace("|", "/"): value
                for one, value in entries.items()
                if one.startswith(start)
            }
            step = int(entries[f"{key}:{_STEP}"])
            names = (name, entries.get(f"{key}:{_ARGUMENTS}", _bytes("")))
            texts = (one.tobytes().decode() for one in names)
            state = AlgorithmState(*texts, step, arrays)
            if key in self.owners:
                self.owners[key].load(state)
            else:
                self.loaded[key] = state

    def _obj_type(self):
        # One of those that Keras knows; it only tells which attributes of
        # this object hold no state of their own.
        return "Loss"


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)
