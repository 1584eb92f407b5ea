"""Top-KAST: what is used and what is trained."""

import numpy as np
import pytest

from cb.errors import InputError
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import LayerState


def layer(seed=0, size=50, density=0.2):
    random = np.random.default_rng(seed)
    mask = random.permutation(size) < round(density * size)
    return LayerState(random.normal(size=size).astype(np.float32), mask)


def test_the_sets_are_the_largest_and_the_next_largest():
    given = {"a": layer()}
    algorithm = reallocation.build("top_kast(explored=0.3)")
    masks, state = algorithm.initial_masks(given, {}, seed=0)
    order = np.argsort(-np.abs(given["a"].weights))
    assert set(np.flatnonzero(masks["a"])) == set(order[:10])
    backward = algorithm.backward(state)["a"]
    assert set(np.flatnonzero(backward)) == set(order[:25])


def test_the_backward_set_ends_at_the_layer():
    given = {"a": layer()}
    algorithm = reallocation.build("top_kast(explored=1.0)")
    _, state = algorithm.initial_masks(given, {}, seed=0)
    assert algorithm.backward(state)["a"].all()


def test_explored_weights_are_pulled_by_one_over_the_density():
    penalties = reallocation.build("top_kast(penalty=0.01)").penalties(
        {"a": layer()}
    )
    assert penalties["a"] == pytest.approx((0.0, 0.01, 0.05))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("top_kast(explored=1.5)", r"explored=1\.5"),
        ("top_kast(penalty=-1)", "penalty=-1"),
    ],
)
def test_bad_hyperparameters_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        reallocation.build(spec)
