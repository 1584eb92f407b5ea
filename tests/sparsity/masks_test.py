"""Exact counts and ties of the mask verbs."""

import numpy as np
import pytest

from cb.errors import InputError
from cb.errors import RunError
from cb.sparsity import masks


def stable_top(scores, count, where):
    """Choose by a stable full sort: the plain definition, slowly."""
    flat = scores.reshape(-1)
    order = [i for i in np.argsort(-flat, kind="stable") if where.flat[i]]
    chosen = np.zeros(flat.size, bool)
    chosen[order[:count]] = True
    return chosen.reshape(scores.shape)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("levels", [1, 2, 5, 1000])
def test_keep_top_equals_a_stable_sort(dtype, levels):
    random = np.random.default_rng(levels)
    scores = random.integers(levels, size=(7, 9)).astype(dtype)
    where = random.random((7, 9)) < 0.7
    for count in range(int(where.sum()) + 1):
        chosen = masks.keep_top(scores, count, where)
        np.testing.assert_array_equal(chosen, stable_top(scores, count, where))


# Large enough to be bracketed by a sample first; with few levels the count
# falls among ties, with infinities most of what is eligible is at an end.
@pytest.mark.parametrize("levels", [0, 3, 1000])
@pytest.mark.parametrize("density", [0.01, 0.5, 1.0])
@pytest.mark.parametrize("lowest", [0.0, 0.8])
def test_keep_top_of_many_equals_a_stable_sort(levels, density, lowest):
    random = np.random.default_rng(levels)
    scores = random.normal(size=(250, 200)).astype(np.float32)
    if levels:
        scores = np.round(scores * levels / 3)
    scores[random.random(scores.shape) < lowest] = -np.inf
    where = random.random(scores.shape) < density
    order = np.argsort(-scores.reshape(-1), kind="stable")
    order = order[where.reshape(-1)[order]]
    for count in (1, order.size // 40, order.size // 2, order.size):
        expected = np.zeros(scores.size, bool)
        expected[order[:count]] = True
        chosen = masks.keep_top(scores, count, where)
        np.testing.assert_array_equal(chosen.reshape(-1), expected)


def test_keep_top_of_many_refuses_nan_only_where_it_may_choose():
    scores = np.arange(40000, dtype=np.float32)
    scores[7] = np.nan
    where = np.arange(40000) > 7
    assert masks.keep_top(scores, 3, where).sum() == 3
    with pytest.raises(RunError, match="must not be NaN"):
        masks.keep_top(scores, 3)


def test_keep_top_gives_ties_to_the_lower_index():
    chosen = masks.keep_top(np.array([[1.0, 2.0, 1.0], [1.0, 2.0, 0.0]]), 4)
    np.testing.assert_array_equal(
        chosen, [[True, True, True], [False, True, False]]
    )


def test_keep_top_chooses_among_where_only_even_if_all_are_worse():
    scores = np.array([9.0, 0.0, 8.0, 0.0])
    where = np.array([False, True, False, True])
    np.testing.assert_array_equal(masks.keep_top(scores, 2, where), where)


def test_keep_top_takes_infinities():
    scores = np.array([-np.inf, np.inf, 0.0, np.inf])
    np.testing.assert_array_equal(
        masks.keep_top(scores, 3), [False, True, True, True]
    )


# With equal finite scores the count comes out right without the NaN.
@pytest.mark.parametrize("finite", [(1.0, 1.0, 1.0), (1.0, 2.0, 3.0)])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_keep_top_refuses_nan(finite, count):
    with pytest.raises(RunError, match="NaN"):
        masks.keep_top(np.array([np.nan, *finite]), count)


@pytest.mark.parametrize("count", [-1, 3])
def test_keep_top_refuses_a_count_out_of_range(count):
    with pytest.raises(ValueError, match=f"Received: count={count}"):
        masks.keep_top(np.zeros(4), count, np.array([1, 0, 1, 0], bool))


def test_keep_top_of_nothing_is_empty():
    assert masks.keep_top(np.zeros((0,)), 0).shape == (0,)
    assert not masks.keep_top(np.ones((2, 2)), 0).any()


def test_choose_is_exact_and_stays_within_where():
    where = np.array([[True, False, True], [True, True, False]])
    for count in range(5):
        chosen = masks.choose(where, count, np.random.default_rng(count))
        assert masks.count(chosen) == count
        assert not (chosen & ~where).any()


def test_choose_is_uniform():
    random = np.random.default_rng(0)
    where = np.array([True, False, True, True, True])
    hits = sum(masks.choose(where, 2, random).astype(int) for _ in range(4000))
    assert hits[1] == 0
    # Five standard deviations of a binomial with p = 1/2.
    assert np.all(np.abs(hits[where] - 2000) < 5 * np.sqrt(1000))


def test_choose_refuses_more_than_there_are():
    with pytest.raises(ValueError):
        masks.choose(np.ones(2, bool), 3, np.random.default_rng(0))


def test_count_goes_on_where_a_float32_sum_stops():
    number = 2**24 + 3
    assert masks.count(np.ones(number, bool)) == number


def test_keep_top_across_equals_one_array_of_all():
    random = np.random.default_rng(0)
    scores = {key: random.integers(5, size=(4, 5)) * 1.0 for key in "abc"}
    where = {key: random.random((4, 5)) < 0.6 for key in "abc"}
    joined = np.stack(list(scores.values()))
    allowed = np.stack(list(where.values()))
    for count in range(int(allowed.sum()) + 1):
        chosen = masks.keep_top_across(scores, count, where, minimum=0)
        np.testing.assert_array_equal(
            np.stack(list(chosen.values())),
            stable_top(joined, count, allowed),
        )


def test_a_minimum_above_the_budget_is_refused():
    scores = {key: np.ones(5) for key in "ab"}
    where = {key: np.ones(5, bool) for key in "ab"}
    with pytest.raises(InputError, match="`minimum` must leave.*minimum=3"):
        masks.keep_top_across(scores, 5, where, minimum=3)


def test_keep_top_across_keeps_the_minimum_of_each():
    scores = {"a": np.array([1.0, 2.0, 3.0]), "b": np.arange(9.0) + 10.0}
    where = {key: np.ones(value.shape, bool) for key, value in scores.items()}
    chosen = masks.keep_top_across(scores, 5, where, minimum=2)
    np.testing.assert_array_equal(chosen["a"], [False, True, True])
    np.testing.assert_array_equal(np.flatnonzero(chosen["b"]), [6, 7, 8])
