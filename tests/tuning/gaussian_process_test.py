import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy import optimize
from sklearn.gaussian_process.kernels import Matern

from cb.tuning.gaussian_process import GaussianProcess


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    points = random.random((25, 4))
    return points, 100 + 5 * np.sin(9 * points[:, 0]) + points[:, 1] ** 2


GROUPS = np.array([0, 0, 1, 2])


def test_predictions_are_those_of_the_formula(data):
    points, values = data
    process = GaussianProcess(points, values, GROUPS)
    scaled = (values - values.mean()) / values.std()

    def kernel(one, other):
        matern = Matern(1 / np.sqrt(process._weights), nu=2.5)(one, other)
        terms = [
            legendre.legval(2 * x - 1, [0] * degree + [(2 * degree + 1) ** 0.5])
            for x in (one, other)
            for degree in (1, 2)
        ]
        trend = terms[0] @ terms[2].T + terms[1] @ terms[3].T
        return matern + process._trend * trend

    noisy = kernel(points, points) + process._noise * np.eye(len(points))
    solved = np.linalg.solve(noisy, scaled)
    new = np.random.default_rng(1).random((7, 4))
    cross = kernel(new, points)
    means, deviations = process.predict(new)
    expected = values.mean() + values.std() * cross @ solved
    np.testing.assert_allclose(means, expected, rtol=1e-6)
    left = kernel(new, new) - cross @ np.linalg.solve(noisy, cross.T)
    variance = (scaled @ solved + 1) / (len(points) + 1) * values.var()
    np.testing.assert_allclose(
        deviations, np.sqrt(variance * np.diag(left)), rtol=1e-4
    )


def test_gradient_is_that_of_differences(data):
    process = GaussianProcess(*data, GROUPS)
    for seed in range(3):
        theta = np.random.default_rng(seed).normal(-1, 1, 5)
        numeric = optimize.approx_fprime(
            theta, lambda theta: process._loss(theta)[0], 1e-6
        )
        np.testing.assert_allclose(
            process._loss(theta)[1], numeric, rtol=1e-4, atol=1e-4
        )


def test_what_does_not_matter_gets_a_long_length(data):
    process = GaussianProcess(*data, GROUPS)
    first, _, second, third = process._weights
    assert first > 2 * max(second, third)


def test_believed_points_keep_means_and_lose_doubt(data):
    process = GaussianProcess(*data, GROUPS)
    new = np.random.default_rng(2).random((3, 4))
    believing = process.believing(new)
    means, deviations = process.predict(new)
    found, left = believing.predict(new)
    np.testing.assert_allclose(found, means)
    assert (left < deviations).all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_values_are_predicted(count):
    points = np.random.default_rng(0).random((count, 2))
    process = GaussianProcess(points, np.full(count, 3.0), np.arange(2))
    means, deviations = process.predict(points)
    np.testing.assert_allclose(means, 3.0)
    assert np.isfinite(deviations).all()
