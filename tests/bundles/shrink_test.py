"""Which blocks an architecture loses."""

import pytest

from cb.bundles.shrink import counts
from cb.bundles.shrink import random_blocks
from cb.bundles.shrink import surviving
from cb.errors import InputError

BLOCKS = (3, 12, 41, 3)


def entropies(conflicts, blocks=BLOCKS):
    return [0.1 if p in conflicts else 0.0 for p in range(sum(blocks))]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("truncate", (3, 2, 41, 3)),
        ("first_type", (3, 10, 41, 3)),
        ("all", (3, 10, 40, 3)),
    ],
)
def test_rules_on_the_published_architecture(rule, expected):
    kept = surviving(BLOCKS, entropies({5, 7, 20}), rule)
    assert counts(BLOCKS, kept) == expected


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("truncate", [0, 1, 5, 6]),
        ("first_type", [0, 1, 3, 5, 6]),
        ("all", [0, 1, 3, 6]),
    ],
)
def test_rules_name_the_blocks_that_stay(rule, kept):
    assert surviving((1, 4, 2), entropies({2, 4, 5}, (1, 4, 2)), rule) == kept


@pytest.mark.parametrize("rule", ["truncate", "first_type", "all"])
def test_without_conflicts_everything_stays(rule):
    assert counts(BLOCKS, surviving(BLOCKS, entropies(()), rule)) == BLOCKS


@pytest.mark.parametrize("rule", ["truncate", "first_type", "all"])
def test_a_conflict_in_the_last_block_removes_it(rule):
    kept = surviving((2, 2), [0.0, 0.0, 0.0, 0.3], rule)
    assert counts((2, 2), kept) == (2, 1)


def test_entropies_within_the_tolerance_are_no_conflict():
    assert surviving((4,), [0.02, 0.1, 0.2, 0.3], "truncate", 0.1) == [0, 1]
    assert surviving((4,), [0.3, 0.0, 0.2, 0.1], "all", 0.1) == [1, 3]


def test_types_without_blocks_are_counted_as_none():
    kept = surviving((2, 0, 2), [0.0, 0.0, 0.2, 0.0], "truncate")
    assert counts((2, 0, 2), kept) == (2, 0, 0)


def test_the_control_keeps_as_many_blocks_and_never_more_of_a_type():
    drawn = {random_blocks((3, 5, 2), 6, seed) for seed in range(20)}
    assert len(drawn) > 3
    for blocks in drawn:
        assert sum(blocks) == 6
        assert all(n <= m for n, m in zip(blocks, (3, 5, 2), strict=True))
    assert random_blocks((3, 5, 2), 6, 7) == random_blocks((3, 5, 2), 6, 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((2,), [0.0, 0.1], "half"), "Unknown shrink rule"),
        (((2,), [0.1], "all"), "each of the 2 blocks"),
        (((2,), [0.1, float("nan")], "all"), "must be finite"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message):
        surviving(*arguments)
