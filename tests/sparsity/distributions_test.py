"""Densities against published values, counts exact."""

import math

import numpy as np
import pytest

from cb.errors import InputError
from cb.sparsity import distributions

LENET = {"1": (784, 300), "2": (300, 100), "3": (100, 10)}
WIDE = {"1": (784, 1000), "2": (1000, 1000), "3": (1000, 1000), "4": (1000, 10)}
RESNET = {
    "stem": (3, 3, 3, 16),
    **{f"1/{i}": (3, 3, 16, 16) for i in range(6)},
    "2/first": (3, 3, 16, 32),
    **{f"2/{i}": (3, 3, 32, 32) for i in range(5)},
    "2/projection": (1, 1, 16, 32),
    "3/first": (3, 3, 32, 64),
    **{f"3/{i}": (3, 3, 64, 64) for i in range(5)},
    "3/projection": (1, 1, 32, 64),
    "dense": (64, 10),
}


def build(spec, shapes, sparsity):
    return distributions.REGISTRY.build(
        spec, shapes=shapes, density=1.0 - sparsity
    )


# Published sparsities of the LeNet-300-100.
@pytest.mark.parametrize(
    ("sparsity", "expected"),
    [
        (0.90, (0.9204, 0.7698, 0.0)),
        (0.95, (0.9615, 0.8887, 0.0815)),
        (0.98, (0.9846, 0.9555, 0.6326)),
        (0.99, (0.9923, 0.9777, 0.8163)),
    ],
)
def test_erk_has_the_published_values_on_lenet(sparsity, expected):
    densities = build("erk", LENET, sparsity)
    actual = [1.0 - densities[key] for key in LENET]
    np.testing.assert_allclose(actual, expected, atol=6e-5)


def test_erk_has_the_published_values_on_a_wide_perceptron():
    densities = build("erk", WIDE, 0.9)
    actual = [1.0 - densities[key] for key in WIDE]
    np.testing.assert_allclose(
        actual, (0.894014, 0.906846, 0.906846, 0.0), atol=6e-7
    )


def test_erk_has_the_published_values_on_a_residual_network():
    # The published budget rounds up layer by layer.
    sizes = [math.prod(shape) for shape in RESNET.values()]
    kept = sum(size - math.floor(0.9 * size) for size in sizes)
    densities = build("erk", RESNET, 1.0 - kept / sum(sizes))
    expected = {
        "stem": 0.016583,
        "1/0": 0.719726,
        "2/first": 0.800858,
        "2/0": 0.870926,
        "2/projection": 0.0,
        "3/first": 0.905961,
        "3/0": 0.938229,
        "3/projection": 0.186837,
        "dense": 0.0,
    }
    for key, value in expected.items():
        assert 1.0 - densities[key] == pytest.approx(value, abs=2e-6), key


def test_uniform_is_uniform():
    assert set(build("uniform", LENET, 0.75).values()) == {0.25}


def test_erdos_renyi_sees_the_channels_only():
    shapes = {"a": (3, 3, 16, 32), "b": (5, 5, 32, 64)}
    densities = build("erdos_renyi", shapes, 0.9)
    ratio = (48 / 512) / (96 / 2048)
    assert densities["a"] / densities["b"] == pytest.approx(ratio)


def test_power_zero_is_uniform():
    for density in build("erk(power=0.0)", LENET, 0.9).values():
        assert density == pytest.approx(0.1)


@pytest.mark.parametrize("spec", distributions.REGISTRY.names())
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.9, 0.98, 0.995])
@pytest.mark.parametrize("shapes", [LENET, WIDE, RESNET], ids=len)
def test_counts_sum_to_the_wanted_total(spec, sparsity, shapes):
    counts = distributions.connection_counts(shapes, sparsity, spec)
    sizes = {key: math.prod(shape) for key, shape in shapes.items()}
    wanted = (1.0 - sparsity) * sum(sizes.values())
    assert abs(sum(counts.values()) - wanted) <= 0.5 + 1e-6
    densities = build(
        spec, shapes, 1.0 - sum(counts.values()) / sum(sizes.values())
    )
    for key, count in counts.items():
        assert 1 <= count <= sizes[key]
        assert abs(count - densities[key] * sizes[key]) < 1.0 + 1e-6


@pytest.mark.parametrize(
    ("sparsity", "expected"),
    [
        (0.90, (23520, 3000, 100)),
        (0.95, (11760, 1500, 50)),
        (0.98, (4704, 600, 20)),
        (0.99, (2352, 300, 10)),
    ],
)
def test_uniform_counts_on_lenet(sparsity, expected):
    counts = distributions.connection_counts(LENET, sparsity, "uniform")
    assert tuple(counts.values()) == expected


def test_a_sparsity_that_empties_a_layer_is_refused_by_name():
    shapes = {"0/kernel": (1000, 10), "1/kernel": (2, 2)}
    with pytest.raises(InputError, match="would empty layer 'logits'"):
        distributions.connection_counts(
            shapes, 0.99, "uniform", {"1/kernel": "logits"}
        )


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan")])
def test_a_sparsity_out_of_range_is_refused(sparsity):
    with pytest.raises(InputError, match=r"must be in \[0, 1\)"):
        distributions.connection_counts(LENET, sparsity, "erk")


def test_an_unknown_distribution_is_refused():
    with pytest.raises(InputError, match="Did you mean 'uniform'"):
        distributions.connection_counts(LENET, 0.9, "unifrom")


def test_a_layer_of_one_weight_keeps_it():
    counts = distributions.connection_counts(
        {"a": (1, 1), "b": (30, 30)}, 0.9, "erk"
    )
    assert counts["a"] == 1
    assert sum(counts.values()) == 90


def test_largest_remainder_favours_the_largest_then_the_earlier():
    exact = {"a": 1.5, "b": 1.5, "c": 1.0}
    capacity = dict.fromkeys("abc", 10)
    shares = distributions.largest_remainder(exact, 4, capacity)
    assert shares == {"a": 2, "b": 1, "c": 1}


def test_largest_remainder_respects_capacity():
    exact = {"a": 8.0, "b": 1.0, "c": 1.0}
    shares = distributions.largest_remainder(
        exact, 10, {"a": 3, "b": 4, "c": 4}
    )
    assert shares["a"] == 3
    assert sum(shares.values()) == 10


def test_largest_remainder_refuses_more_than_the_capacity():
    with pytest.raises(ValueError, match="Received: total=5"):
        distributions.largest_remainder({"a": 5.0}, 5, {"a": 4})


def test_largest_remainder_takes_no_more_than_one_from_a_share():
    exact = dict.fromkeys("abcde", 10.6)
    shares = distributions.largest_remainder(
        exact, 53, dict.fromkeys("abcde", 99)
    )
    assert list(shares.values()) == [11, 11, 11, 10, 10]


def test_apportion_gives_what_is_too_much_to_the_others_in_proportion():
    shares = distributions.apportion(
        {"a": 100.0, "b": 2.0, "c": 1.0}, 40, {"a": 10, "b": 30, "c": 30}
    )
    assert shares == {"a": 10, "b": 20, "c": 10}


@pytest.mark.parametrize("weights", [(0.0, 0.0), (0.0, 1.0), (1e-300, 0.0)])
def test_apportion_is_exact_with_weights_of_zero(weights):
    weights = dict(zip("ab", weights, strict=True))
    for total in range(9):
        shares = distributions.apportion(weights, total, {"a": 4, "b": 4})
        assert sum(shares.values()) == total
        assert max(shares.values()) <= 4
