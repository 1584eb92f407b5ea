"""Mirroring, shifting, brightness and scales of pixels and features."""

import dataclasses
import math
from typing import ClassVar
from typing import Literal

import numpy as np

from cb.datasets.augmentation import REGISTRY
from cb.datasets.augmentation.base import Fixed
from cb.datasets.augmentation.base import Transform
from cb.datasets.augmentation.base import unit_scaled
from cb.datasets.augmentation.projection import Mode
from cb.datasets.augmentation.projection import Projection
from cb.datasets.augmentation.projection import affine
from cb.errors import InputError
from cb.registry import Fraction
from cb.registry import NotNegative
from cb.registry import Positive
from cb.registry import lazy_import

tf = lazy_import("tensorflow")

CHUNK, ROUNDING = 8192, 1e-14


@REGISTRY.register("flip")
@dataclasses.dataclass(frozen=True)
class Flip(Transform):
    """Mirror half of the images left to right."""

    def __call__(self, features, random):
        places = tf.range(tf.shape(features)[2])
        mirrored = random("flip")[:, None] < 0.5
        columns = tf.where(mirrored, places[::-1], places)
        flipped = tf.gather(features, columns, axis=2, batch_dims=1)
        return tf.ensure_shape(flipped, features.shape)


@REGISTRY.register("translation")
@dataclasses.dataclass(frozen=True)
class Translation(Projection):
    """Shift images by parts of a pixel, up to a fraction of their size.

    Args:
        fraction: Float in [0, 1], of height and of width.
        mode: As in `Projection`.
    """

    fraction: Fraction = 0.1
    mode: Mode = "reflect"

    def matrices(self, height, width, random):
        down = (2.0 * random("row") - 1.0) * self.fraction * height
        right = (2.0 * random("column") - 1.0) * self.fraction * width
        one, zero = tf.ones_like(down), tf.zeros_like(down)
        return affine([one, zero, -right], [zero, one, -down])


@REGISTRY.register("rotation")
@dataclasses.dataclass(frozen=True)
class Rotation(Projection):
    """Turn images about their centres.

    Args:
        degrees: Float, the angle is uniform in `[-degrees, degrees)`.
        mode: As in `Projection`.
    """

    degrees: NotNegative = 10.0
    mode: Mode = "nearest"

    def matrices(self, height, width, random):
        middle, centre = (height - 1.0) / 2.0, (width - 1.0) / 2.0
        angle = (2.0 * random("angle") - 1.0) * math.radians(self.degrees)
        cos, sin = tf.cos(angle), tf.sin(angle)
        column = centre - cos * centre + sin * middle
        row = middle - sin * centre - cos * middle
        return affine([cos, -sin, column], [sin, cos, row])


@REGISTRY.register("brightness")
@dataclasses.dataclass(frozen=True)
class Brightness(Transform):
    """Add a number to all pixels of an image, without clipping.

    Args:
        delta: Float, the number is uniform in `[-delta, delta)`.
    """

    delta: NotNegative = 0.25

    def __call__(self, features, random):
        added = (2.0 * random("brightness") - 1.0) * self.delta
        return unit_scaled(features) + added[:, None, None, None]


@REGISTRY.register("per_image_standardization")
@dataclasses.dataclass(frozen=True)
class PerImageStandardization(Fixed):
    """Give the pixels of each image mean 0 and deviation 1.

    An image of one colour becomes zero: the deviation counts as at least
    one over the root of the number of pixels.
    """

    rescales: ClassVar[bool] = True

    def __call__(self, features, random):
        return tf.image.per_image_standardization(unit_scaled(features))


@REGISTRY.register("normalize")
@dataclasses.dataclass(frozen=True)
class Normalize(Fixed):
    """Subtract a mean and divide by a deviation.

    Args:
        mean: Number, or a tuple of one for each channel or feature.
        std: As `mean`, not zero.
        scale: Number by which `mean` and `std` are divided; 255 where they
            are given for bytes.
    """

    needs_images: ClassVar[bool] = False
    centres: ClassVar[bool] = True
    rescales: ClassVar[bool] = True

    mean: float | tuple[float, ...]
    std: Positive | tuple[Positive, ...]
    scale: Positive = 1.0

    def __call__(self, features, random):
        for value in (self.mean, self.std):
            if np.size(value) not in (1, features.shape[-1]):
                raise InputError(
                    f"Augmentation `normalize` must have a number for each of "
                    f"{features.shape[-1]} channels. Received: {value}"
                )
        features = unit_scaled(features)
        mean, std = (
            tf.constant(
                np.asarray(value, np.float64) / self.scale, features.dtype
            )
            for value in (self.mean, self.std)
        )
        # Features in double precision are rounded once they are centred.
        return tf.cast((features - mean) / std, tf.float32)


@REGISTRY.register("standardize")
@dataclasses.dataclass(frozen=True)
class Standardize(Fixed):
    """Normalize every channel or feature as measured on the training part.

    Channels and features that are constant there become zero.

    Args:
        each: `"channel"`, or `"pixel"` to normalize each place in the images
            by itself.
    """

    needs_images: ClassVar[bool] = False
    centres: ClassVar[bool] = True
    rescales: ClassVar[bool] = True
    measures: ClassVar[bool] = True

    each: Literal["channel", "pixel"] = "channel"

    @property
    def measures_places(self):
        return self.each == "pixel"

    def __call__(self, features, random):
        # Called before it is fitted only to find shapes.
        return unit_scaled(features)

    def fitted(self, features) -> Transform:
        if not isinstance(features, np.ndarray):
            raise InputError(
                "Augmentation `standardize` needs examples in memory. For "
                "images on disk use 'normalize(mean=..., std=...)'."
            )
        if self.measures_places:
            return _Pixelwise(*moments(features, axes=(0,)))
        mean, std = moments(features)
        return Normalize(tuple(mean.tolist()), tuple(std.tolist()))


class _Pixelwise(Fixed):
    """Subtracts a mean image and divides by an image of deviations."""

    needs_images: ClassVar[bool] = False
    centres: ClassVar[bool] = True
    rescales: ClassVar[bool] = True

    def __init__(self, mean: np.ndarray, std: np.ndarray):
        # The arguments of the others are literals, these are not.
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)

    def __str__(self) -> str:
        return str(Standardize(each="pixel"))

    def __call__(self, features, random):
        features = unit_scaled(features)
        mean, std = (
            tf.constant(value, features.dtype)
            for value in (self.mean, self.std)
        )
        return tf.cast((features - mean) / std, tf.float32)


def moments(
    features: np.ndarray, axes: tuple[int, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of every channel or feature.

    Args:
        features: Array `(examples, ..., channels)`; uint8 pixels are scaled
            to [0, 1].
        axes: Axes that are averaged over, the first among them; all but the
            last by default.

    Returns:
        Tuple of float64 arrays of the remaining shape; the deviation of
        constants is 1.
    """
    axes = tuple(range(features.ndim - 1)) if axes is None else axes
    number = math.prod(features.shape[axis] for axis in axes)
    unit = 255.0 if features.dtype == np.uint8 else 1.0
    # In pieces: a copy in double precision is many times the data.
    pieces = range(0, len(features), CHUNK)
    mean = sum(
        features[start : start + CHUNK].sum(axis=axes, dtype=np.float64)
        for start in pieces
    ) / (number * unit)
    variance = sum(
        np.square(features[start : start + CHUNK] / unit - mean).sum(axis=axes)
        for start in pieces
    ) / np.float64(number)
    std = np.sqrt(variance)
    # The mean of equal numbers may differ from them by its rounding.
    return mean, np.where(std > ROUNDING * np.abs(mean), std, 1.0)
