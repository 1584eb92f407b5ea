"""Which blocks a lesion study drops."""

import itertools

import pytest

from cb.bundles.lesion import Lesion
from cb.bundles.lesion import draws
from cb.errors import InputError

# Blocks 2, 3 and 5 have conflicts.
ENTROPIES = {1: 0.0, 2: 0.5, 3: 0.1, 4: 0.0, 5: 2.0, 6: 0.0, 7: 0.0}
MEMBERS = {
    "conflicting": {2, 3, 5},
    "non_conflicting": {1, 4, 6, 7},
    "any": set(range(1, 8)),
}


def test_by_default_every_number_of_every_group_is_dropped():
    chosen = draws(Lesion(draws=100), ENTROPIES, seed=0)
    for group, members in MEMBERS.items():
        found = [draw.dropped for draw in chosen if draw.among == group]
        expected = [
            subset
            for count in range(1, len(members) + 1)
            for subset in itertools.combinations(sorted(members), count)
        ]
        # Where there are no more choices than draws, each is there once.
        assert found == expected


def test_draws_are_different_random_choices_of_the_group():
    study = Lesion(blocks=(2, 3), draws=5, among="any")
    chosen = draws(study, ENTROPIES, seed=0)
    assert [draw.blocks for draw in chosen] == [2] * 5 + [3] * 5
    assert [draw.draw for draw in chosen] == [*range(5), *range(5)]
    assert len({draw.dropped for draw in chosen}) == 10
    for draw in chosen:
        assert len(set(draw.dropped)) == draw.blocks
        assert set(draw.dropped) <= MEMBERS["any"]
    assert chosen == draws(study, ENTROPIES, seed=0)
    assert chosen != draws(study, ENTROPIES, seed=1)


def test_entropies_within_the_tolerance_are_no_conflict():
    study = Lesion(blocks=1, among="conflicting", tolerance=0.3)
    chosen = draws(study, ENTROPIES, seed=0)
    assert [draw.dropped for draw in chosen] == [(2,), (5,)]


def test_more_blocks_than_there_are_cannot_be_dropped():
    study = Lesion(blocks=4, among=("conflicting", "non_conflicting"))
    (draw,) = draws(study, ENTROPIES, seed=0)
    assert draw.dropped == (1, 4, 6, 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"among": "some"}, "`among` .* must be one of 'conflicting'"),
        (
            {"blocks": 0},
            "`blocks` .* must be an integer of at least 1",
        ),
        (
            {"blocks": (1, -2)},
            "`blocks` .* must be an integer of at least 1",
        ),
        (
            {"blocks": ()},
            "`blocks` .* must be an integer of at least 1",
        ),
        ({"draws": 0}, "`draws` .* must be an integer of at least 1"),
    ],
)
def test_bad_studies_are_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message):
        Lesion(**arguments)


def test_a_diverged_network_is_refused():
    with pytest.raises(InputError, match="diverged"):
        draws(Lesion(), {1: 0.0, 2: float("nan")}, seed=0)
