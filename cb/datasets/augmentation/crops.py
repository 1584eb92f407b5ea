"""Crops at fixed and at random places, padding and resizing."""

import dataclasses
import math
from typing import Annotated
from typing import Literal

from cb.datasets.augmentation import REGISTRY
from cb.datasets.augmentation.base import Fixed
from cb.datasets.augmentation.base import Transform
from cb.datasets.augmentation.base import unit_scaled
from cb.errors import InputError
from cb.errors import argument_error
from cb.registry import Count
from cb.registry import Interval
from cb.registry import Positive
from cb.registry import lazy_import

tf = lazy_import("tensorflow")

ATTEMPTS = 10
Area = Annotated[float, Interval("(0, 1]")]
# Evaluation sees the centre of an image that is larger in this ratio.
MARGIN = 256 / 224


@dataclasses.dataclass(frozen=True)
class Sized(Transform):
    """Base of transforms after which images are squares.

    Args:
        size: Integer, pixels.
    """

    size: Count


@REGISTRY.register("pad_crop")
@dataclasses.dataclass(frozen=True)
class PadCrop(Transform):
    """Pad on every side and crop the old size at a random place.

    Args:
        padding: Integer, pixels on every side.
        mode: `"reflect"`, `"symmetric"` or `"constant"`.
        value: Number in [0, 255], the padding of `"constant"`.
    """

    padding: Count = 4
    mode: Literal["reflect", "symmetric", "constant"] = "reflect"
    value: Annotated[float, Interval("[0, 255]")] = 0

    def __call__(self, features, random):
        if self.mode != "constant":
            # A reflection leaves out the pixel at the edge.
            least = self.padding + (self.mode == "reflect")
            features = _checked(features, least, "padding", self.padding)
        height, width = _size(features)
        room = 2 * self.padding
        rows = _window(random("row"), room, height) - self.padding
        columns = _window(random("column"), room, width) - self.padding
        found = pixels(
            features,
            _inside(rows, height, self.mode),
            _inside(columns, width, self.mode),
        )
        if self.mode != "constant":
            return found
        value = self.value if features.dtype == tf.uint8 else self.value / 255
        kept = _is_inside(rows, height)[:, :, None, None]
        kept &= _is_inside(columns, width)[:, None, :, None]
        return tf.where(kept, found, tf.cast(value, features.dtype))


@REGISTRY.register("random_crop")
@dataclasses.dataclass(frozen=True)
class RandomCrop(Sized):
    """Crop a square at a random place; in evaluation, the centre."""

    def __call__(self, features, random):
        features = _checked(features, self.size, "size", self.size)
        return crop_at_random(features, self.size, self.size, random)

    def evaluation(self):
        return (CenterCrop(self.size),)


@REGISTRY.register("center_crop")
@dataclasses.dataclass(frozen=True)
class CenterCrop(Sized, Fixed):
    """Crop a square in the middle."""

    def __call__(self, features, random):
        features = _checked(features, self.size, "size", self.size)
        shape = tf.shape(features)
        return tf.image.crop_to_bounding_box(
            features,
            (shape[1] - self.size) // 2,
            (shape[2] - self.size) // 2,
            self.size,
            self.size,
        )


@REGISTRY.register("resize")
@dataclasses.dataclass(frozen=True)
class Resize(Fixed):
    """Scale images so that the shorter side has a size, without aliasing.

    Args:
        size: Integer, pixels of the shorter side.
    """

    size: Count

    def __call__(self, features, random):
        features = unit_scaled(features)
        height, width = _size(features)
        known = not (tf.is_tensor(height) or tf.is_tensor(width))
        shorter = (min if known else tf.minimum)(height, width)
        target = self.size * height // shorter
        across = self.size * width // shorter
        return tf.image.resize(features, [target, across], antialias=True)


@REGISTRY.register("resize_with_pad")
@dataclasses.dataclass(frozen=True)
class ResizeWithPad(Sized, Fixed):
    """Scale images to fit into a square, black where they do not fill it."""

    def __call__(self, features, random):
        # Images that already fit keep their bits.
        return tf.image.resize_with_pad(
            unit_scaled(features), self.size, self.size
        )


@REGISTRY.register("zoom_crop")
@dataclasses.dataclass(frozen=True)
class ZoomCrop(Transform):
    """Enlarge images and crop at a random place; evaluation does not enlarge.

    The published code intends to pad, but calls a function that enlarges. So
    training sees larger objects than evaluation does.

    Args:
        zoom: Integer, pixels of the enlarged image.
        size: Integer, pixels of the crop.

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    """

    zoom: Count = 38
    size: Count = 32

    def __post_init__(self):
        super().__post_init__()
        if self.zoom < self.size:
            raise argument_error(
                "zoom", "at least `size`", self.zoom, size=self.size
            )

    def __call__(self, features, random):
        features = ResizeWithPad(self.zoom)(features, random)
        return crop_at_random(features, self.size, self.size, random)

    def evaluation(self):
        return (ResizeWithPad(self.size),)


@REGISTRY.register("random_resized_crop")
@dataclasses.dataclass(frozen=True)
class RandomResizedCrop(Sized):
    """Crop a random part of the image and scale it; in evaluation, the centre.

    The part has an area between `area` of the image's and an aspect ratio
    between `ratio`, uniform in its logarithm. The first of ten draws that
    lies in the image is used, else a centred crop.

    Args:
        area: Tuple of two floats in (0, 1].
        ratio: Tuple of two floats, width over height.

    Reference:

    - [Szegedy et al., 2015](https://arxiv.org/abs/1409.4842)
    """

    area: tuple[Area, Area] = (0.08, 1.0)
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)

    def __post_init__(self):
        super().__post_init__()
        for name in ("area", "ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(
                    f"Argument `{name}` must hold two ascending numbers. "
                    f"Received: {name}={(low, high)}"
                )

    def __call__(self, features, random):
        features = unit_scaled(features)
        shape = tf.shape(features)
        boxes = self.boxes(
            tf.cast(shape[1], tf.float32), tf.cast(shape[2], tf.float32), random
        )
        return tf.image.crop_and_resize(
            features, boxes, tf.range(shape[0]), [self.size, self.size]
        )

    def boxes(self, height, width, random):
        """Return normalized boxes `(batch, 4)`: top, left, bottom, right."""
        tall, wide = self._fallback(height, width)
        zeros = tf.zeros_like(random("top"))
        tall, wide, found = tall + zeros, wide + zeros, zeros > 0.0
        for attempt in range(ATTEMPTS):
            h, w = self._drawn(height, width, random, attempt)
            fits = (h <= height) & (w <= width)
            tall = tf.where(fits & ~found, h, tall)
            wide = tf.where(fits & ~found, w, wide)
            found |= fits
        top = tf.where(found, random("top"), 0.5) * (height - tall)
        left = tf.where(found, random("left"), 0.5) * (width - wide)
        # The box is given by the centres of its corner pixels.
        down, across = tf.maximum(height - 1, 1), tf.maximum(width - 1, 1)
        return tf.stack(
            [
                top / down,
                left / across,
                (top + tall - 1) / down,
                (left + wide - 1) / across,
            ],
            axis=1,
        )

    def evaluation(self):
        return (Resize(round(MARGIN * self.size)), CenterCrop(self.size))

    def _drawn(self, height, width, random, attempt):
        low, high = self.area
        area = low + (high - low) * random(f"area/{attempt}")
        low, high = (math.log(value) for value in self.ratio)
        aspect = tf.exp(low + (high - low) * random(f"ratio/{attempt}"))
        area *= height * width
        return tf.sqrt(area / aspect), tf.sqrt(area * aspect)

    def _fallback(self, height, width):
        narrow, wide = self.ratio
        aspect = tf.clip_by_value(width / height, narrow, wide)
        return tf.minimum(height, width / aspect), tf.minimum(
            width, height * aspect
        )


def crop_at_random(images, height, width, random):
    """Crop `height` x `width` pixels of each image at a place of its own.

    Images must be at least that large.
    """
    shape = tf.shape(images)
    rows = _window(random("row"), shape[1] - height, height)
    columns = _window(random("column"), shape[2] - width, width)
    return pixels(images, rows, columns)


def pixels(images, rows, columns):
    """Gather pixels at rows and columns that differ from image to image.

    Args:
        images: Tensor `(batch, height, width, channels)`.
        rows: int32 tensor `(batch, new_height)`.
        columns: int32 tensor `(batch, new_width)`.

    Returns:
        Tensor `(batch, new_height, new_width, channels)`.
    """
    shape = tf.shape(images)
    # One gather of single pixels is faster than one along each axis.
    first = tf.range(shape[0])[:, None, None] * (shape[1] * shape[2])
    places = first + rows[:, :, None] * shape[2] + columns[:, None, :]
    return tf.gather(tf.reshape(images, [-1, images.shape[3]]), places)


def _inside(places, size, mode):
    """Return the place in the image that a place outside repeats."""
    last = size - 1
    if mode == "reflect":
        return last - tf.abs(last - tf.abs(places))
    if mode == "symmetric":
        places = tf.where(places < 0, -places - 1, places)
        return tf.where(places > last, 2 * last + 1 - places, places)
    return tf.clip_by_value(places, 0, last)


def _is_inside(places, size):
    return (places >= 0) & (places < size)


def _size(images):
    """Return height and width, as integers where they are known."""
    dynamic = tf.shape(images)
    return [
        dynamic[axis] if images.shape[axis] is None else images.shape[axis]
        for axis in (1, 2)
    ]


def _window(random, room, size):
    places = tf.cast(room + 1, tf.float32)
    first = tf.cast(tf.floor(random * places), tf.int32)
    return first[:, None] + tf.range(size)[None, :]


def _checked(images, least: int, name: str, value: int):
    """Return images whose sides are long enough for an argument.

    Where images differ in size, the check is part of the graph.
    """
    height, width = _size(images)
    text = f"Argument `{name}` needs images of at least {least}x{least} pixels."
    if not (tf.is_tensor(height) or tf.is_tensor(width)):
        if min(height, width) < least:
            raise InputError(
                f"{text} Received: {name}={value} for images of "
                f"{height}x{width}"
            )
        return images
    sides = [tf.strings.as_string(side) for side in (height, width)]
    received = tf.strings.join(sides, "x")
    message = f"{text} Received: {name}={value} for an image of "
    large = tf.minimum(height, width) >= least
    check = tf.debugging.Assert(large, [tf.strings.join([message, received])])
    with tf.control_dependencies([check]):
        return tf.identity(images)
