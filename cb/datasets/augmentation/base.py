"""Transforms, the base of augmentations."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any
from typing import ClassVar

from cb.registry import check_arguments
from cb.registry import lazy_import

tf = lazy_import("tensorflow")
# From a name to one number in [0, 1) for every example of the batch, a tensor.
Random = Callable[[str], Any]


@dataclasses.dataclass(frozen=True)
class Transform:
    """A function of the examples of a batch, each by itself.

    A subclass that draws random numbers returns from `evaluation` the
    transforms that replace it where nothing may be random.
    """

    needs_images: ClassVar[bool] = True
    # Whether float64 features that float32 cannot tell apart become float32.
    centres: ClassVar[bool] = False
    # Whether pixels come out in another range than they have in files.
    rescales: ClassVar[bool] = False
    # Whether constants are measured on examples as they are stored.
    measures: ClassVar[bool] = False

    def __post_init__(self):
        check_arguments(type(self), **vars(self))

    def __call__(self, features, random: Random):
        """Return the transformed examples.

        Args:
            features: Tensor `(batch, ...)`, uint8 pixels or float32, where
                pixels are in [0, 1] if nothing has scaled them otherwise.
            random: Function from a name to a float32 tensor `(batch,)` in
                [0, 1), for this transform alone.

        Returns:
            Tensor `(batch, ...)`, uint8 or float32.
        """
        raise NotImplementedError

    @property
    def measures_places(self) -> bool:
        """Whether these constants are of each place in an example."""
        return False

    def evaluation(self) -> tuple["Transform", ...]:
        """Return the transforms of examples that are not trained on."""
        return ()

    def fitted(self, features) -> "Transform":
        """Return the transform with its constants, if it measures any.

        Args:
            features: The features of the training part, as stored.
        """
        del features
        return self

    def __str__(self) -> str:
        fields = vars(self).items()
        values = ", ".join(f"{key}={value!r}" for key, value in fields)
        # Registered under the name of its class, in snake case.
        name = re.sub("(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        return f"{name}({values})" if values else name


@dataclasses.dataclass(frozen=True)
class Fixed(Transform):
    """A transform without randomness, the same in training and evaluation."""

    def evaluation(self) -> tuple[Transform, ...]:
        return (self,)


def unit_scaled(features):
    """Map uint8 pixels to float32 in [0, 1]; leave floats as they are."""
    if features.dtype == tf.uint8:
        return tf.cast(features, tf.float32) / 255.0
    return features
