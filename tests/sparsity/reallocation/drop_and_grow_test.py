"""How grown weights start, and how much has been explored."""

import math

import numpy as np
import pytest

from cb.errors import InputError
from cb.schedules import PeriodicSchedule
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState

EVENT = Event(100, 0, PeriodicSchedule(100, 0, 10**9))


def layer(shape, density=0.5, seed=0):
    random = np.random.default_rng(seed)
    mask = random.random(shape) < density
    weights = np.where(mask, random.normal(size=shape), 0.0)
    return LayerState(
        weights.astype(np.float32),
        mask,
        random.normal(size=shape).astype(np.float32),
    )


def values_after(spec, given):
    algorithm = reallocation.build(spec)
    layers = {"a": given}
    state = algorithm.init(layers)
    masks, state = algorithm.update(layers, state, event=EVENT, seed=1)
    values = algorithm.values(layers, masks, state, seed=1)
    return masks["a"], values.get("a")


def test_grown_weights_are_zero_unless_asked_for():
    assert values_after("rigl", layer((20, 20)))[1] is None


@pytest.mark.parametrize(
    ("shape", "deviation"),
    [((100, 300), 100**-0.5), ((3, 3, 40, 60), (2 / (9 * 60)) ** 0.5)],
)
def test_redrawn_weights_have_the_deviation_of_their_kind(shape, deviation):
    given = layer(shape)
    mask, values = values_after(
        "set(grown='redrawn', drop_fraction=1.0, decay='constant')", given
    )
    grown = values[mask & ~given.mask]
    assert grown.std() == pytest.approx(deviation, rel=0.05)
    assert abs(grown.mean()) < 5 * deviation / np.sqrt(grown.size)


def test_weights_may_start_down_the_gradient():
    given = layer((30, 30))
    mask, values = values_after(
        "rigl(grown='gradient', grown_scale=0.1, decay='constant')", given
    )
    grown = mask & ~given.mask
    assert grown.any()
    np.testing.assert_allclose(values[grown], -0.1 * given.gradients[grown])
    kept = mask & given.mask
    np.testing.assert_array_equal(values[kept], given.weights[kept])


def test_the_gradient_is_refused_where_there_is_none():
    with pytest.raises(InputError, match="grown='gradient'"):
        reallocation.build("set(grown='gradient')")


def test_an_unknown_start_is_refused():
    with pytest.raises(InputError, match="Did you mean 'redrawn'"):
        reallocation.build("set(grown='redraw')")


def test_an_unknown_decay_is_refused():
    with pytest.raises(InputError, match="Did you mean 'cosine'"):
        reallocation.build("set(decay='cosin')")


@pytest.mark.parametrize("value", [-0.1, 1.1, "0.5", True, None, math.nan])
def test_fractions_out_of_range_are_refused(value):
    with pytest.raises(InputError, match="Argument `drop_fraction` of `RigL`"):
        reallocation.get("rigl")(drop_fraction=value)


def test_the_exploration_rate_is_the_union_of_all_masks():
    given = layer((40, 25), density=0.1)
    algorithm = reallocation.build("set(decay='constant')")
    state = algorithm.init({"a": given})
    assert algorithm.metrics(state) == {
        "exploration_rate": pytest.approx(given.mask.mean())
    }
    union, mask = given.mask, given.mask
    for seed in range(20):
        masks, state = algorithm.update(
            {"a": given._replace(mask=mask)}, state, event=EVENT, seed=seed
        )
        mask = masks["a"]
        union = union | mask
        rate = algorithm.metrics(state)["exploration_rate"]
        assert rate == pytest.approx(union.mean())
    assert rate > 0.35


# Settings of in-time over-parameterization: long intervals, half the weights
# dropped, to the end of the training.
def test_in_time_over_parameterization_is_a_setting():
    algorithm = reallocation.build(
        "set(drop_fraction=0.5, every=1500, end=1.0, decay='cosine')"
    )
    period = algorithm.period(TrainingLength(10_000, 500))
    assert (period.next(0), period.next(9000)) == (1500, None)
