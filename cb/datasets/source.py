"""What a data set is: examples with labels, a training and a test part."""

import dataclasses
import hashlib
from typing import NamedTuple

import numpy as np

from cb.errors import InputError
from cb.sparsity.seeds import generator


class Examples(NamedTuple):
    """Features and labels of the same length.

    Attributes:
        features: Array `(examples, ...)`, uint8 images or float32.
        labels: int32 array `(examples,)`, in `[0, num_classes)`.
    """

    features: np.ndarray
    labels: np.ndarray

    def take(self, positions: np.ndarray) -> "Examples":
        """Return the examples at the given positions."""
        return Examples(self.features[positions], self.labels[positions])

    def __len__(self) -> int:
        # Without this, the length of the tuple.
        return len(self.labels)


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set in memory.

    Args:
        name: String.
        train: `Examples` for training and validation.
        test: `Examples` never used for choosing anything.
        num_classes: Integer.
    """

    name: str
    train: Examples
    test: Examples
    num_classes: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.train.features.shape[1:]

    def digest(self) -> str:
        """Return hexadecimal digits that differ for other examples."""
        hashed = hashlib.blake2b(self.name.encode("utf-8"), digest_size=8)
        for array in (*self.train, *self.test):
            hashed.update(str(array.shape).encode("utf-8"))
            hashed.update(np.ascontiguousarray(array).view(np.uint8).data)
        return hashed.hexdigest()


def hold_out(
    examples: Examples, fraction: float, seed: int
) -> tuple[Examples, Examples | None]:
    """Split off a stratified validation part.

    Args:
        examples: `Examples`.
        fraction: Float in [0, 1), the part held out of every class.
        seed: Integer, decides which.

    Returns:
        Tuple of the rest and the part held out, `None` if `fraction` is 0.
        Both keep the order of the data.

    Raises:
        InputError: If nothing is left on a side.
    """
    if fraction == 0.0:
        return examples, None
    held = np.zeros(len(examples), bool)
    for label in np.unique(examples.labels):
        positions = np.flatnonzero(examples.labels == label)
        number = round(fraction * positions.size)
        random = generator(seed, "validation", int(label))
        held[random.permutation(positions)[:number]] = True
    if not held.any() or held.all():
        raise InputError(
            "Argument `validation_fraction` must leave examples on both "
            f"sides of {len(examples)}. "
            f"Received: validation_fraction={fraction}"
        )
    return (
        examples.take(np.flatnonzero(~held)),
        examples.take(np.flatnonzero(held)),
    )
