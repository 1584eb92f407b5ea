"""Images whose pixels come from other places in them."""

from collections.abc import Sequence
from typing import Literal

from cb.datasets.augmentation.base import Random
from cb.datasets.augmentation.base import Transform
from cb.datasets.augmentation.base import unit_scaled
from cb.registry import lazy_import

tf = lazy_import("tensorflow")

Mode = Literal["reflect", "constant", "nearest", "wrap"]


class Projection(Transform):
    """Take each pixel from a place between others, which are interpolated.

    A subclass has the field `mode`, the pixels that come in: `"reflect"` (the
    edge repeated), `"constant"` (black), `"nearest"` or `"wrap"`.
    """

    mode: Mode

    def matrices(self, height, width, random: Random):
        """Return where pixels come from.

        Args:
            height: Float scalar tensor, pixels of an image.
            width: As `height`.
            random: As in `Transform`.

        Returns:
            Float tensor `(batch, 3, 3)`: products with it take
            `(column, row, 1)` in the new image to that in the old one.
        """
        raise NotImplementedError

    def __call__(self, features, random):
        return projected(features, [self], [random])


def projected(
    features, projections: Sequence[Projection], draws: Sequence[Random]
):
    """Return images after several projections, interpolated once.

    Each interpolation of an interpolated image would blur it more.

    Args:
        features: Tensor `(batch, height, width, channels)`, uint8 or float32.
        projections: Sequence of `Projection` of the same mode, in order.
        draws: Sequence of the `random` of each.

    Returns:
        float32 tensor of the same shape.
    """
    features = unit_scaled(features)
    height, width = tf.unstack(tf.cast(tf.shape(features)[1:3], tf.float32))
    first, *others = (
        projection.matrices(height, width, random)
        for projection, random in zip(projections, draws, strict=True)
    )
    for matrices in others:
        # The last image takes its pixels from the one before, and so on.
        first = first @ matrices
    places = tf.raw_ops.ImageProjectiveTransformV3(
        images=features,
        transforms=tf.reshape(first, [-1, 9])[:, :8],
        output_shape=tf.shape(features)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode=projections[0].mode.upper(),
    )
    return tf.ensure_shape(places, features.shape)


def affine(first_row, second_row):
    """Return matrices from the six numbers that vary.

    Args:
        first_row: List of three tensors `(batch,)`.
        second_row: As `first_row`.
    """
    zero = tf.zeros_like(first_row[0])
    rows = [first_row, second_row, [zero, zero, zero + 1.0]]
    return tf.stack([tf.stack(row, axis=1) for row in rows], axis=1)
