import itertools

import numpy as np
import pytest

from cb.errors import InputError
from cb.tuning import pareto
from cb.tuning import racing
from cb.tuning.racing import Climb
from cb.tuning.racing import Halving

GOOD = {"1": (0.1, 5.0), "2": (0.3, 5.0)}
CHEAP = {"1": (0.5, 1.0), "2": (0.5, 1.0)}
BAD = {"1": (0.0, 9.0), "2": (0.9, 9.0)}


def test_comparisons_are_due_after_powers_of_two():
    assert [n for n in range(1, 10) if racing.is_due(n)] == [1, 2, 4, 8]


def test_the_first_runs_on_everything():
    assert not racing.loses({"1": (0.9, 9.0)}, [])


def test_only_shared_folds_are_compared():
    # On fold 1 alone nothing beats an error of 0.1 at this cost.
    assert not racing.loses({"1": (0.1, 4.0)}, [GOOD])
    assert racing.loses({"1": (0.2, 5.0)}, [GOOD])
    assert not racing.loses({"2": (0.2, 5.0)}, [GOOD])


def test_a_tie_goes_on():
    assert not racing.loses({"1": (0.1, 5.0)}, [GOOD])


def test_only_the_front_of_the_others_counts():
    # BAD is best on fold 1 but dominated over both.
    assert not racing.loses(
        {"1": (0.05, 9.5)},
        [
            {"1": (0.0, 9.0), "2": (0.9, 9.0)},
            {"1": (0.06, 5.0), "2": (0.1, 5.0)},
        ],
    )
    assert racing.loses({"1": (0.6, 1.5)}, [GOOD, CHEAP, BAD])


@pytest.mark.parametrize(
    "text, rungs",
    [
        ("halving", (9, 3, 1)),
        ("halving(eta=3, least=0.3)", (3, 1)),
        ("halving(eta=2, least=0.125)", (8, 4, 2, 1)),
        ("halving(4, 0.25)", (4, 1)),
    ],
)
def test_rungs_are_powers_not_below_the_least(text, rungs):
    assert racing.parse_racing(text).rungs == rungs


def test_folds_are_no_halving():
    assert racing.parse_racing("folds") is None


@pytest.mark.parametrize(
    "text, message",
    [
        ("halving(eta=1)", "`eta`.*must be"),
        ("halving(eta=3, least=0.5)", "`least` must be at most 1 / `eta`"),
        ("halving(least=0.0)", "`least`.*must be"),
        ("halvin", "mean 'halving'"),
    ],
)
def test_bad_specs_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        racing.parse_racing(text)


def test_trials_are_ranked_by_layers_and_then_by_what_they_add():
    chance = np.random.default_rng(0)
    for _ in range(20):
        points = chance.random((12, 2))
        scores = {str(n): point for n, point in enumerate(points)}
        low, high = points.min(axis=0), points.max(axis=0)
        scaled, layers = (points - low) / (high - low), pareto.layers(points)

        def key(name, scaled=scaled, layers=layers):
            place = int(name)
            layer = [n for n in range(12) if layers[n] == layers[place]]
            without = [n for n in layer if n != place]
            lost = area(scaled[layer]) - area(scaled[without])
            return layers[place], -round(lost, 9)

        found = [key(name) for name in racing.ranked(scores)]
        assert found == sorted(found)


def area(points):
    """Return the area up to (2, 2) that points dominate, cell by cell."""
    if not len(points):
        return 0.0
    edges = [[*np.unique(column), 2.0] for column in points.T]
    return sum(
        (right - left) * (top - bottom)
        for (left, right), (bottom, top) in itertools.product(
            *(itertools.pairwise(column) for column in edges)
        )
        if (points <= (left, bottom)).all(axis=1).any()
    )


def test_the_most_accurate_trial_goes_on_although_it_is_the_largest():
    errors, sizes = [0.07, 0.82, 0.82, 0.9], [12.9, 3.9, 2.6, 0.2]
    # Two costs that rise and fall together weigh no more than the error.
    scores = {
        str(n): (error, size, 2e4 * size)
        for n, (error, size) in enumerate(zip(errors, sizes, strict=True))
    }
    assert racing.ranked(scores)[0] == "0"


def test_equal_trials_have_one_share():
    scores = {"a": (0.0, 1.0), "b": (0.5, 0.5), "c": (0.5, 0.5), "d": (1, 0)}
    assert racing.ranked(scores)[-1] == "c"


def test_the_best_share_of_a_rung_is_taken_up_again():
    halving = Halving(eta=3, least=0.1)
    trials = {str(n): Climb([(n,)], True) for n in range(8)}
    assert racing.promoted({}, halving) is None
    assert racing.promoted(dict([*trials.items()][:2]), halving) is None
    # Two of eight continue; the first is in training again.
    assert racing.promoted(trials, halving) == ("0", 1)
    assert racing.promoted(trials, halving, {"0"}) == ("1", 1)
    assert racing.promoted(trials, halving, {"0", "1"}) is None
    # No more trials come: the share is rounded up.
    assert racing.promoted(trials, halving, {"0", "1"}, True) == ("2", 1)


def test_higher_rungs_come_first_and_complete_trials_count():
    halving = Halving(eta=3, least=0.1)
    trials = {
        "a": Climb([(1,), (5,)], True),
        "b": Climb([(2,), (4,)], True),
        "c": Climb([(3,), (3,)], True),
        "d": Climb([(4,)], True),
        # So few epochs that it was complete at its first rung.
        "e": Climb([(0,)], False),
        "f": Climb([(9,)], True),
    }
    # Of a, b, c and e one continues at the second rung, and e is the best.
    assert racing.promoted(trials, halving) is None
    assert racing.promoted(trials, halving, closing=True) == ("c", 2)


def test_while_new_trials_come_no_more_than_the_share_continue():
    halving = Halving(eta=3, least=0.3)
    trials = {str(n): Climb([(n,)], True) for n in range(4, 7)}
    trials["4"] = Climb([(4,), (4,)], False)
    # Better ones come; one of five has continued already.
    trials |= {str(n): Climb([(n,)], True) for n in range(2)}
    assert racing.promoted(trials, halving) is None
    assert racing.promoted(trials, halving, closing=True) == ("0", 1)
    trials["7"] = Climb([(7,)], True)
    assert racing.promoted(trials, halving) == ("0", 1)
