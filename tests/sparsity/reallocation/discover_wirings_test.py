"""DNW: the largest weights are active, in the published number."""

import numpy as np
import pytest

from cb.errors import InputError
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import LayerState


def chosen(spec, weights, mask=None):
    if mask is None:
        mask = np.ones(weights.shape, bool)
    layers = {"a": LayerState(weights, mask)}
    algorithm = reallocation.build(spec)
    state = algorithm.init(layers)
    start, state = algorithm.initial_masks(layers, state, seed=0)
    masks, _ = algorithm.update(
        {"a": LayerState(weights, start["a"])}, state, event=None, seed=0
    )
    np.testing.assert_array_equal(start["a"], masks["a"])
    return masks["a"]


@pytest.mark.parametrize("shape", [(1,), (7,), (10,), (4096,), (25, 40)])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_the_published_number_is_kept(shape, rate):
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    mask = chosen(f"discover_wirings(sparsity={rate})", weights)
    number = int(rate * weights.size)
    assert mask.sum() == weights.size - number
    order = np.argsort(np.abs(weights).ravel(), kind="stable")
    expected = np.ones(weights.size, bool)
    expected[order[:number]] = False
    np.testing.assert_array_equal(mask.ravel(), expected)


def test_ties_keep_the_lower_index():
    mask = chosen("discover_wirings(sparsity=0.5)", np.ones(8, np.float32))
    np.testing.assert_array_equal(mask, np.arange(8) < 4)


def test_the_number_is_that_of_the_start_unless_given():
    weights = np.arange(10, dtype=np.float32)
    mask = chosen("discover_wirings", weights, np.arange(10) < 3)
    np.testing.assert_array_equal(mask, np.arange(10) >= 7)


def test_a_sparsity_out_of_range_is_refused():
    with pytest.raises(InputError, match=r"sparsity=1\.0"):
        reallocation.build("discover_wirings(sparsity=1.0)")
