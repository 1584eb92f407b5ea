"""N of every M along any axis."""

import itertools

import numpy as np
import pytest

from cb.errors import InputError
from cb.sparsity import reallocation
from cb.sparsity.masks import keep_top_of_groups
from cb.sparsity.reallocation.base import LayerState


@pytest.mark.parametrize(
    ("n", "m"), [(1, 4), (2, 4), (4, 4), (1, 1), (3, 5), (3, 17), (12, 20)]
)
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("levels", [2, 1000])
def test_equals_a_loop_over_groups(n, m, axis, levels):
    scores = np.random.default_rng(n).integers(levels, size=(3, 8, 10)) * 1.0
    chosen = np.moveaxis(keep_top_of_groups(scores, n, m, axis), axis, -1)
    rows = np.moveaxis(scores, axis, -1)
    for place in itertools.product(*map(range, rows.shape[:-1])):
        row = rows[place]
        for first in range(0, row.size, m):
            group = range(first, min(first + m, row.size))
            best = sorted(group, key=lambda i: (-row[i], i))[:n]
            actual = [i for i in group if chosen[place][i]]
            assert sorted(best) == actual


def test_groups_lie_along_the_inputs():
    weights = np.zeros((8, 3), np.float32)
    weights[[1, 2, 4, 7]] = 1.0
    layers = {"a": LayerState(weights, np.ones((8, 3), bool))}
    algorithm = reallocation.build("n_by_m")
    masks, _ = algorithm.initial_masks(layers, algorithm.init(layers), seed=0)
    np.testing.assert_array_equal(masks["a"], weights == 1.0)


def test_a_selection_is_made_anew():
    algorithm = reallocation.build("n_by_m(n=1, m=2)")
    masks = {"a": np.ones((4, 1), bool)}
    for weights, expected in (
        ([1, 2, 3, 4], [0, 1, 0, 1]),
        ([2, 1, 3, 4], [1, 0, 0, 1]),
    ):
        column = np.array(weights, np.float32)[:, None]
        masks, _ = algorithm.update(
            {"a": LayerState(column, masks["a"])}, {}, event=None, seed=0
        )
        np.testing.assert_array_equal(
            masks["a"][:, 0], np.array(expected, bool)
        )


def test_inactive_weights_are_pulled():
    layers = {"a": LayerState(np.ones((4, 4)), np.ones((4, 4), bool))}
    penalty = reallocation.build("n_by_m(pull=0.5)").penalties(layers)["a"]
    assert penalty == (0.0, 0.0, 0.5)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("n_by_m(n=0)", "n=0"),
        ("n_by_m(n=5)", "n=5, m=4"),
        ("n_by_m(pull=-1)", "pull=-1"),
    ],
)
def test_bad_hyperparameters_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        reallocation.build(spec)


def test_an_axis_that_a_kernel_lacks_is_refused():
    layers = {"a": LayerState(np.ones((4, 4)), np.ones((4, 4), bool))}
    with pytest.raises(InputError, match="axis=-3"):
        reallocation.build("n_by_m(axis=-3)").init(layers)
