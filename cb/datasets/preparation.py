"""Preparation of the examples of each data set by its sources.

`published` follows their code, `corrected` what they intended. Both are
chains of augmentations.
"""

from collections.abc import Mapping
from typing import NamedTuple

from cb.datasets import augmentation
from cb.datasets.augmentation import Pipeline
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.storage import EncodedImages
from cb.errors import InputError
from cb.registry import NotNegative
from cb.registry import Spec
from cb.registry import one_of
from cb.registry import parse_spec
from cb.registry import unknown

AUTO, MODEL, PUBLISHED, CORRECTED = "auto", "model", "published", "corrected"
MIXUP = "mixup"
NAMES = (AUTO, MODEL, PUBLISHED, CORRECTED)


class Preparation(NamedTuple):
    """Preparation of a data set's training examples, by one source.

    Attributes:
        published: Pipeline, as the code of the source has it.
        corrected: Pipeline without the mistakes; `None` if there are none.
    """

    published: str
    corrected: str | None = None


Preparations = Mapping[str, Preparation]

# Means and deviations of channels, those of `CIFAR_BYTES` for bytes.
IMAGENET = "normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))"
CIFAR_BYTES = "normalize((125.3, 123.0, 113.9), (63.0, 62.1, 66.7), 255)"
CIFAR_WIRINGS = "normalize((0.491, 0.482, 0.447), (0.247, 0.243, 0.262))"
_PER_IMAGE = "per_image_standardization"
_SHIFT = "translation(0.1)"
# A mirrored digit is another sign, or none.
_SHIFTED = Preparation(f"flip|{_SHIFT}", _SHIFT)

# On CIFAR, and on ImageNet.
DYNAMIC_SPARSE = ("pad_crop(4)", "flip", CIFAR_BYTES)
BIG_BATCH = ("pad_crop(4, mode='constant', value=127)", "flip", IMAGENET)
WIRINGS = ("pad_crop(4, mode='constant')", "flip", CIFAR_WIRINGS)
IMAGENET_CROPS = ("random_resized_crop(224)", "flip", IMAGENET)

# The first source of each data set is the default.
CIFAR: Preparations = {
    "dynamic_sparse": Preparation("|".join(DYNAMIC_SPARSE)),
    "big_batch": Preparation("|".join(BIG_BATCH)),
    "wirings": Preparation("|".join(WIRINGS)),
    "autosparse": Preparation(f"flip|{_SHIFT}"),
    "bundles": Preparation(
        f"{_PER_IMAGE}|zoom_crop(38, 32)|flip|brightness(0.25)",
        f"{_PER_IMAGE}|pad_crop(3, mode='constant')|flip|brightness(0.25)",
    ),
}
MNIST: Preparations = {
    "dynamic_sparse": Preparation("none"),
    "big_batch": Preparation(
        "pad_crop(2, mode='constant')|flip|normalize(0.5, 0.5)",
        "pad_crop(2, mode='constant')|normalize(0.5, 0.5)",
    ),
    "autosparse": Preparation("none"),
    "bundles": Preparation(
        "zoom_crop(32, 28)|brightness(0.25)",
        "pad_crop(2, mode='constant')|brightness(0.25)",
    ),
}
SVHN: Preparations = {
    "autosparse": _SHIFTED,
    "bundles": Preparation(
        f"zoom_crop(36, 32)|{_PER_IMAGE}|brightness(0.25)",
        f"pad_crop(2, mode='constant')|{_PER_IMAGE}|brightness(0.25)",
    ),
}
LARGE: Preparations = {
    "wirings": Preparation("|".join(IMAGENET_CROPS)),
    "dynamic_sparse": Preparation("|".join(IMAGENET_CROPS)),
    "big_batch": Preparation("|".join(IMAGENET_CROPS)),
    "bundles": Preparation(
        f"zoom_crop(138, 128)|flip|{_PER_IMAGE}|brightness(0.25)",
        f"random_resized_crop(128)|flip|{_PER_IMAGE}|brightness(0.25)",
    ),
}
FEATURES: Preparations = {"autosparse": Preparation("none", "standardize")}
FASHION: Preparations = {
    "autosparse": Preparation("none"),
    "dynamic_sparse": Preparation("none"),
}
STL10: Preparations = {
    "big_batch": Preparation(f"pad_crop(12)|flip|{IMAGENET}")
}


def of_kind(features) -> Preparations:
    """Return the preparation of features that no source has used.

    Args:
        features: As in `cb.datasets.dataset_splits.Examples`.
    """
    if isinstance(features, EncodedImages):
        return LARGE
    return FEATURES if features.ndim == 2 else {}


def without_mixup(text: str, alpha: float = 0.0) -> tuple[str, float]:
    """Take `mixup(0.2)` out of a chain of augmentations.

    It mixes targets too, which no augmentation does.

    Args:
        text: The chain.
        alpha: Float, the argument of mixup that is given elsewhere, or 0.

    Returns:
        Tuple of the rest of the chain and `alpha`, given there or here.

    Raises:
        InputError: If it is given twice, or wrong.
    """
    parts = text.split("|")
    found = [part for part in parts if part.strip().startswith(MIXUP)]
    if not found:
        return text, alpha
    if len(found) > 1 or alpha:
        raise InputError(
            "Argument `mixup` may be given once, as a flag or among the "
            f"augmentations. Received: augmentation={text!r}, mixup={alpha}"
        )
    spec = one_of(found[0], "augmentation", {MIXUP: _mixup})
    rest = "|".join(part for part in parts if part not in found)
    return rest or augmentation.NONE, spec.kwargs["alpha"]


def _mixup(alpha: NotNegative = 0.2) -> None:
    del alpha


def complete(text: str) -> str:
    """Check the text of `--augmentation` and write out its defaults.

    Args:
        text: A chain, of which mixup is left out; or `auto`, `model`,
            `published` or `corrected`, the last two perhaps with a source as
            in `published('bundles')`.

    Returns:
        String.

    Raises:
        InputError: If the text is neither, or an argument in it is wrong.
    """
    text, _ = without_mixup(text)
    return str(_named(text) or augmentation.complete(text))


def resolve(
    text: str, source: DatasetSplits, model: tuple[str, ...] | None = None
) -> Pipeline:
    """Return the chain that the text of `--augmentation` means.

    `auto` is the model's own recipe where it leaves images as large as they
    are, or where they differ in size; otherwise the corrected recipe of the
    data set.

    Args:
        text: As in `complete`.
        source: `DatasetSplits` of the data.
        model: Transforms of the model's recipe for training, or `None`.

    Returns:
        A `Pipeline`, fitted to nothing yet.

    Raises:
        InputError: If there is no such recipe.
    """
    spec = _named(text)
    if spec is None:
        return augmentation.build(text)
    if spec.name == MODEL:
        if model is None:
            raise InputError(
                "Argument `augmentation` can be 'model' only for a model with "
                "a recipe for its inputs. Received: augmentation='model'"
            )
        return augmentation.build("|".join(model))
    if spec.name == AUTO:
        own = model and augmentation.build("|".join(model))
        if own and _fits(own, source.features_shape):
            return own
        return augmentation.build(_of(source, CORRECTED, None))
    return augmentation.build(_of(source, spec.name, *spec.args or (None,)))


def _named(text: str) -> Spec | None:
    """Read the text as the name of a recipe, if it is one."""
    if "|" in text:
        return None
    spec = parse_spec(text)
    if spec.name not in NAMES:
        return None
    takes = 1 if spec.name in (PUBLISHED, CORRECTED) else 0
    if spec.kwargs or len(spec.args) > takes:
        raise InputError(
            "Argument `augmentation` must name a recipe as in "
            f"'published(\"bundles\")'. Received: augmentation={text!r}"
        )
    return spec


def _fits(chain: Pipeline, shape) -> bool:
    try:
        found = chain.output_shape(shape)
    except InputError:
        return False
    return None in shape or found == tuple(shape)


def _of(source: DatasetSplits, kind: str, name: str | None) -> str:
    recipes = source.preparations
    if name is None:
        if not recipes and kind == PUBLISHED:
            raise InputError(
                f"No recipe is published for data set {source.name!r}. "
                f"Received: augmentation={kind!r}"
            )
        recipe = next(iter(recipes.values()), Preparation("none"))
    elif name in recipes:
        recipe = recipes[name]
    else:
        raise unknown(f"source of a recipe for {source.name}", name, recipes)
    if kind == CORRECTED and recipe.corrected is not None:
        return recipe.corrected
    return recipe.published
