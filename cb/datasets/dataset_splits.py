"""Data sets: examples with labels, a training and a test part."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np

from cb.errors import InputError
from cb.seeds import generator


class Examples(NamedTuple):
    """Features and labels of the same length.

    Attributes:
        features: Array `(examples, ...)`, uint8 images or float32, or
            float64 where float32 would merge values; or images on disk, as
            `cb.datasets.storage.EncodedImages`.
        labels: int32 array `(examples,)`, in `[0, num_classes)`.
    """

    features: Any
    labels: np.ndarray

    def take(self, positions: np.ndarray) -> "Examples":
        """Return the examples at the given positions."""
        return Examples(self.features[positions], self.labels[positions])

    def digests(self) -> dict[str, str]:
        """Return hexadecimal digits that differ for other examples.

        Of images on disk names and sizes count, not the pixels.
        """
        return {name: _digest(array) for name, array in self._asdict().items()}

    def __len__(self) -> int:
        # Without this, the length of the tuple.
        return len(self.labels)


@dataclasses.dataclass(frozen=True)
class DatasetSplits:
    """A data set.

    Args:
        name: String.
        train: `Examples` for training and validation.
        test: `Examples` never used for choosing anything.
        num_classes: Integer.
        class_names: Tuple of strings, or `None`.
        preparations: How sources prepared the examples, by the name of
            the source; a mapping to `cb.datasets.preparation.Preparation`.
        ordered: Boolean, whether examples are in the order of time, so that
            the last ones must be held out.
        input_shape: Shape of one example as a model sees it, if it is not
            that of the features.
        validation: `Examples` for validation, where the data have such a
            part; `None` where it is split off the training part.
        label: String, name of the label, where it has one.
        feature_names: Tuple of strings, names of the columns of features,
            where they have names.

    Raises:
        InputError: If a part is empty, a label is out of range or there is
            only one class.
    """

    name: str
    train: Examples
    test: Examples
    num_classes: int
    class_names: tuple[str, ...] | None = None
    preparations: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ordered: bool = False
    input_shape: tuple[int | None, ...] = ()
    validation: Examples | None = None
    label: str | None = None
    feature_names: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.num_classes < 2:
            raise InputError(
                f"Data set {self.name!r} must have at least two classes. "
                f"Received: {self.num_classes}"
            )
        for part, examples in self.parts().items():
            if not len(examples):
                raise InputError(
                    f"Data set {self.name!r} has no example in its {part} part."
                )
            wrong = (examples.labels < 0) | (
                examples.labels >= self.num_classes
            )
            if wrong.any():
                place = int(np.argmax(wrong))
                raise InputError(
                    f"The labels of data set {self.name!r} must be in "
                    f"[0, {self.num_classes}). Received: "
                    f"{examples.labels[place]} at example {place} of the "
                    f"{part} part"
                )
        if not self.input_shape:
            object.__setattr__(self, "input_shape", self.features_shape)

    @property
    def features_shape(self) -> tuple[int | None, ...]:
        """Shape of one example as stored; `None` where examples differ."""
        return tuple(self.train.features.shape[1:])

    @property
    def features_text(self) -> str:
        """Shape and type of the features, in words."""
        sides = ["any" if n is None else str(n) for n in self.features_shape]
        kind = getattr(self.train.features, "dtype", "encoded")
        return f"{'x'.join(sides)} {kind}"

    def parts(self) -> dict[str, Examples]:
        """Return the parts that the data have, by name."""
        parts = {
            "training": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def limited(self, number: int | None) -> "DatasetSplits":
        """Return at most `number` examples of each part, always the same.

        Args:
            number: Integer, or `None` for all.
        """
        if number is None:
            return self
        return dataclasses.replace(
            self,
            train=_limited(self.train, number),
            test=_limited(self.test, number),
            validation=self.validation and _limited(self.validation, number),
        )


def _digest(array) -> str:
    hashed = hashlib.blake2b(str(array.shape).encode("utf-8"), digest_size=8)
    if isinstance(array, np.ndarray):
        hashed.update(array.dtype.str.encode("utf-8"))
        hashed.update(np.ascontiguousarray(array).view(np.uint8).data)
    else:
        hashed.update(array.identity())
    return hashed.hexdigest()


def _limited(examples: Examples, number: int) -> Examples:
    if number >= len(examples):
        return examples
    order = generator("limit_examples").permutation(len(examples))
    return examples.take(np.sort(order[:number]))
