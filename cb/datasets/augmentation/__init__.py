"""Augmentations of examples, a function of (seed, epoch, example)."""

import itertools
from collections.abc import Sequence

import numpy as np

from cb.datasets.augmentation.base import Random
from cb.datasets.augmentation.base import Transform
from cb.datasets.augmentation.base import unit_scaled
from cb.datasets.augmentation.projection import Projection
from cb.datasets.augmentation.projection import projected
from cb.errors import InputError
from cb.registry import Registry
from cb.registry import lazy_import
from cb.registry import parse_spec

tf = lazy_import("tensorflow")

REGISTRY = Registry("augmentation", __name__)

NONE = "none"


class Pipeline:
    """Transforms applied one after the other.

    Projections that follow one another, such as a rotation and a translation
    of the same mode, become one: their pixels are interpolated once.

    Args:
        transforms: Sequence of `Transform`.
    """

    def __init__(self, transforms: Sequence[Transform]):
        self.transforms = tuple(transforms)

    def __call__(self, features, random: Random | None = None):
        """Return transformed features.

        Args:
            features: Tensor `(batch, ...)`, uint8 pixels or float32.
            random: Function from a name to one number in [0, 1) for every
                example; needed by random transforms.

        Returns:
            float32 tensor; pixels that nothing else scales are in [0, 1].
        """
        numbered = [
            (transform, _numbered(random, number))
            for number, transform in enumerate(self.transforms)
        ]
        for mode, group in itertools.groupby(numbered, _mode):
            if mode is not None:
                features = projected(features, *zip(*group, strict=True))
                continue
            for transform, draw in group:
                features = transform(features, draw)
        return unit_scaled(features)

    def evaluation(self) -> "Pipeline":
        """Return the chain for examples that are not trained on."""
        return Pipeline(
            [
                part
                for transform in self.transforms
                for part in transform.evaluation()
            ]
        )

    def fitted(self, features) -> "Pipeline":
        """Return the chain with everything measured on training features.

        Raises:
            InputError: If float32 cannot tell the features apart, and no
                transform brings them nearer to zero; or if what is measured
                on stored examples would be applied to others.
        """
        self._check_measured(features)
        double = getattr(features, "dtype", None) == np.float64
        if double and not any(part.centres for part in self.transforms):
            raise InputError(
                "Argument `augmentation` must have 'standardize' for features "
                "that float32 cannot tell apart, or `columns` of the data set "
                f"leave them out. Received: augmentation={str(self)!r}"
            )
        return Pipeline([part.fitted(features) for part in self.transforms])

    def _check_measured(self, features) -> None:
        for number, part in enumerate(self.transforms):
            before = Pipeline(self.transforms[:number])
            if not part.measures or not number:
                continue
            reason = ""
            if any(other.rescales for other in before.transforms):
                reason = "changes the range of"
            elif part.measures_places:
                shape = tuple(features.shape[1:])
                if before.output_shape(shape) != shape:
                    reason = "changes the shape of"
            if reason:
                raise InputError(
                    f"Augmentation {str(part)!r} must come before what "
                    f"{reason} examples, for it is measured on those that are "
                    f"stored. Received: augmentation={str(self)!r}"
                )

    def output_shape(self, shape: Sequence[int | None]) -> tuple[int, ...]:
        """Return the shape of an example that comes out.

        Args:
            shape: Shape of an example that goes in, `None` where examples
                differ.

        Raises:
            InputError: If examples cannot be transformed, or come out in
                different shapes.
        """
        if len(shape) != 3 and any(t.needs_images for t in self.transforms):
            raise InputError(
                "Argument `augmentation` needs images. Received: "
                f"augmentation={str(self)!r} for examples of shape "
                f"{tuple(shape)}"
            )
        # Traced, not called: where sizes differ there is none to try.
        traced = tf.function(self._tried, autograph=False)
        features = tf.TensorSpec([1, *shape], tf.float32)
        found = traced.get_concrete_function(features).output_shapes[1:]
        if not found.is_fully_defined():
            raise InputError(
                "Argument `augmentation` must bring images that differ in "
                "size to one, as 'resize(256)|center_crop(224)' does. "
                f"Received: augmentation={str(self)!r}"
            )
        return tuple(found)

    def _tried(self, features):
        return self(features, lambda name: tf.zeros([1]))

    def __str__(self) -> str:
        return "|".join(str(part) for part in self.transforms) or NONE


def build(text: "str | Pipeline") -> Pipeline:
    """Build a chain of augmentations such as `"pad_crop(4)|flip"`.

    Args:
        text: Specs joined by `|`, applied from left to right, or `"none"`.

    Returns:
        A `Pipeline`.

    Raises:
        InputError: If a spec is wrong.
    """
    if isinstance(text, Pipeline):
        return text
    if text == NONE:
        return Pipeline([])
    return Pipeline([REGISTRY.build(part) for part in text.split("|")])


def complete(text: str) -> str:
    """Return the chain with every default written out.

    Args:
        text: As in `build`.

    Returns:
        String.

    Raises:
        InputError: If a spec is wrong.
    """
    if text == NONE:
        return text
    return "|".join(
        str(REGISTRY.complete(parse_spec(part))) for part in text.split("|")
    )


def _mode(numbered):
    """Return the mode of a projection, `None` of other transforms."""
    transform, _ = numbered
    return transform.mode if isinstance(transform, Projection) else None


def _numbered(random, number):
    """Give each transform random numbers of its own."""
    if random is None:
        return None
    return lambda name: random(f"{number}/{name}")
