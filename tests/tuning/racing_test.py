from cb.tuning import racing

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
