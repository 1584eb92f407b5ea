"""From a configuration to data: recipes, mixup, limits and two processes."""

import numpy as np
import pytest

from cb.config import Config
from cb.datasets import preparation
from cb.datasets.dataset_splits import DatasetSplits
from cb.datasets.dataset_splits import Examples
from cb.errors import InputError
from cb.training import assembly
from cb.training.data import build_chain
from cb.training.data import build_data
from cb.training.data import without_mixup
from tests.commands import run_code

PRINT_HASH = """
import hashlib
from cb.config import Config
from cb.training.data import build_data
config = Config(
    augmentation="pad_crop(1)|translation(0.1)|brightness(0.2)|flip", seed=3
)
data = build_data(config, 1)
digest = hashlib.sha256()
for features, labels in data.batches.dataset(30, 36):
    digest.update(features.numpy().tobytes() + labels.numpy().tobytes())
print(digest.hexdigest())
"""


def source(shape, known=preparation.CIFAR):
    examples = Examples(np.zeros((4, *shape), np.uint8), np.zeros(4, np.int32))
    return DatasetSplits("cifar10", examples, examples, 10, preparations=known)


CIFAR = source((32, 32, 3))


@pytest.mark.parametrize(
    "text, model, expected",
    [
        # The model's own, where it leaves images as large as they are.
        ("auto", "resnet44", "value=127"),
        ("auto", "resnet50", "scale=255"),
        ("auto", "mlp", "scale=255"),
        ("model", "resnet50", "random_resized_crop"),
        ("none", "resnet44", "none"),
        ("published('bundles')", "mlp", "zoom_crop"),
        ("corrected('bundles')", "mlp", "pad_crop(padding=3"),
        ("published", "mlp", "scale=255"),
        ("flip", "resnet44", "flip"),
    ],
)
def test_what_the_augmentations_of_a_run_are(text, model, expected):
    assert expected in str(build_chain(text, CIFAR, model))


def test_digits_and_features_have_recipes_too():
    plain = source((8, 8, 1), {})
    assert str(build_chain("auto", plain, "resnet44")) == "none"
    table = source((6,), preparation.FEATURES)
    chain = build_chain("auto", table, "mlp")
    assert str(chain) == "standardize(each='channel')"
    assert str(build_chain("published", table, "mlp")) == "none"


@pytest.mark.parametrize(
    "text, model, message",
    [
        ("model", "mlp", "only for a model with a recipe"),
        ("published('bundle')", "mlp", "Did you mean 'bundles'"),
        ("published(bundles=1)", "mlp", "must name a recipe"),
        ("auto(1)", "mlp", "must name a recipe"),
    ],
)
def test_recipes_that_are_not_there(text, model, message):
    with pytest.raises(InputError, match=message):
        build_chain(text, CIFAR, model)


@pytest.mark.parametrize(
    "known",
    [preparation.CIFAR, preparation.MNIST, preparation.SVHN, preparation.LARGE],
)
def test_all_recipes_keep_or_fix_the_shape(known):
    size = (28, 28, 1) if known is preparation.MNIST else (32, 32, 3)
    size = (None, None, 3) if known is preparation.LARGE else size
    for name in known:
        for kind in ("published", "corrected"):
            chain = build_chain(f"{kind}('{name}')", source((9, 9, 3), known))
            assert None not in chain.evaluation().output_shape(size)
            assert chain.output_shape(size) in (
                size,
                (224, 224, 3),
                (128, 128, 3),
            )


def test_mixup_among_augmentations_is_the_flag():
    config = Config(augmentation="flip|mixup(0.4)")
    assert assembly.completed(config) == assembly.completed(
        Config(augmentation="flip", mixup=0.4)
    )
    assert without_mixup(Config(augmentation="mixup")).augmentation == "none"
    with pytest.raises(InputError, match="may be given once"):
        without_mixup(Config(augmentation="mixup", mixup=0.1))


def test_limits_and_folds_reach_the_data():
    config = Config(limit_examples=100, fold="2/5", batch_size=10)
    data = build_data(config, 1)
    assert (len(data.source.train), len(data.source.test)) == (100, 100)
    assert len(data.examples) == data.batches.size == 80
    held = build_data(Config(validation_examples=123), 1)
    assert len(held.examples) == 1437 - 123


def test_batches_are_the_same_bits_in_two_processes():
    found = {run_code(PRINT_HASH) for _ in range(2)}
    assert len(found) == 1 and len(found.pop().strip()) == 64
