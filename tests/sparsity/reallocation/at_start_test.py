"""SNIP, GraSP and random masks, chosen once."""

import numpy as np
import pytest

from cb.errors import InputError
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import LayerState


def layers(seed=0):
    random = np.random.default_rng(seed)
    return {
        key: LayerState(
            *(
                random.normal(size=(10, size)).astype(np.float32)
                if name != "mask"
                else random.random((10, size)) < density
                for name in ("weights", "mask", "gradients")
            ),
            curvature=random.normal(size=(10, size)).astype(np.float32),
        )
        for key, size, density in (("a", 30, 0.1), ("b", 5, 0.5))
    }


def start(spec, given, seed=0):
    algorithm = reallocation.build(spec)
    masks, _ = algorithm.initial_masks(given, algorithm.init(given), seed=seed)
    return masks


SCORES = {
    "snip": lambda layer: np.abs(layer.weights * layer.gradients),
    # Published: remove the highest of -weight * (H g).
    "grasp": lambda layer: -(-layer.weights * layer.curvature),
}


@pytest.mark.parametrize("name", SCORES)
def test_the_highest_scores_of_all_layers_are_kept(name):
    given = layers()
    masks = start(name, given)
    scores = np.concatenate([SCORES[name](v).ravel() for v in given.values()])
    total = sum(layer.mask.sum() for layer in given.values())
    expected = np.zeros(scores.size, bool)
    expected[np.argsort(-scores, kind="stable")[:total]] = True
    actual = np.concatenate([mask.ravel() for mask in masks.values()])
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", SCORES)
def test_the_highest_scores_of_each_layer_are_kept(name):
    given = layers()
    masks = start(f"{name}(scope='layer')", given)
    for key, layer in given.items():
        scores = SCORES[name](layer).ravel()
        expected = np.zeros(scores.size, bool)
        expected[np.argsort(-scores, kind="stable")[: layer.mask.sum()]] = True
        np.testing.assert_array_equal(masks[key].ravel(), expected)


@pytest.mark.parametrize("name", ["snip", "grasp"])
def test_every_layer_gets_the_minimum(name):
    given = layers()
    zero = np.zeros_like(given["b"].weights)
    # The lowest score that GraSP can have is below zero.
    given["b"] = given["b"]._replace(weights=zero - 9, gradients=zero)
    given["b"] = given["b"]._replace(curvature=zero + 9)
    masks = start(f"{name}(minimum=4)", given)
    assert masks["b"].sum() == 4


def test_random_masks_keep_layer_counts_and_differ_by_seed():
    given = layers()
    one, two = (start("random", given, seed) for seed in (1, 2))
    for key, layer in given.items():
        assert one[key].sum() == two[key].sum() == layer.mask.sum()
    assert (one["a"] != two["a"]).any()


def test_random_masks_over_all_layers_are_uniform():
    given = layers()
    total = sum(layer.mask.sum() for layer in given.values())
    drawn = np.mean(
        [
            start("random(scope='global')", given, s)["b"].sum()
            for s in range(300)
        ]
    )
    assert drawn == pytest.approx(total * 50 / 350, abs=0.6)


def test_nothing_is_ever_due():
    for name in ("snip", "grasp", "random", "static"):
        assert reallocation.build(name).period(None) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("snip(num_batches=0)", "num_batches=0"),
        ("grasp(num_batches=-1)", "num_batches=-1"),
        ("snip(scope='model')", "Received: scope='model'"),
        ("random(minimum=0)", "minimum=0"),
    ],
)
def test_bad_hyperparameters_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        reallocation.build(spec)
