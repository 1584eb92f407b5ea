"""Seeds are the same in every process."""

import hashlib

import numpy as np
import pytest

from cb import seeds
from tests.commands import run_code


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((0,), 8482559467159178675),
        ((0, "reallocation", 100), 7513755410217033370),
        ((7, "initial mask", "3/kernel"), 1216675156733641544),
    ],
)
def test_fold_is_fixed_for_ever(parts, expected):
    assert seeds.fold_in(*parts) == expected


def test_fold_follows_its_definition():
    digest = hashlib.sha256(b"int:1\x1fstr:a").digest()
    expected = int.from_bytes(digest[:8], "little") // 2
    assert seeds.fold_in(1, "a") == expected


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_equal_integers_are_equal_seeds(kind):
    assert seeds.fold_in(kind(3), "a") == seeds.fold_in(3, "a")


def test_fold_tells_types_and_groupings_apart():
    variants = [(1, 2), (12,), ("1", 2), ("1", "2"), (2, 1), (1, 2, "")]
    assert len({seeds.fold_in(*parts) for parts in variants}) == len(variants)


def test_fold_fits_a_signed_integer():
    assert all(0 <= seeds.fold_in(i) < 2**63 for i in range(1000))


@pytest.mark.slow
def test_seeds_are_equal_in_another_process():
    code = (
        "from cb import seeds;"
        "print(seeds.fold_in(3, 'key'), seeds.generator(3, 'key').random())"
    )
    # Python's own string hash would differ under this seed.
    output = run_code(code, PYTHONHASHSEED="12345").split()
    assert output[0] == str(seeds.fold_in(3, "key"))
    assert float(output[1]) == seeds.generator(3, "key").random()


def test_generator_is_the_counter_based_one():
    expected = np.random.Philox(seeds.fold_in(0, "grow")).random_raw(4)
    drawn = seeds.generator(0, "grow").bit_generator.random_raw(4)
    np.testing.assert_array_equal(drawn, expected)
