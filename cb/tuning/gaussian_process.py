"""Gaussian processes: regression with an uncertainty."""

import copy

import numpy as np
from scipy import linalg
from scipy import optimize

# Bounds of the noise, as a part of the variance of the values.
NOISE = (1e-6, 1.0)
# Bounds of the logarithm of squared lengths.
LENGTHS = (-6.0, 12.0)
# Bounds of the logarithm of the weight of the trend.
TREND = (-12.0, 6.0)
# Steps of the search for all of these.
STEPS = 60
# The prior: normal in the logarithms of squared lengths, of the weight of the
# trend and of the noise, with these deviations.
LENGTHS_SPREAD, TREND_SPREAD, NOISE_SPREAD = 2.0, 2.0, 1.5
NOISE_CENTRE = -3.0


class GaussianProcess:
    """A Gaussian process fitted to values at points.

    The kernel is Matérn's of smoothness 5/2 with a length for each group of
    coordinates, and a trend that is a sum of a parabola of each coordinate:
    with few points and many coordinates, there is no more to learn. Lengths,
    the weight of the trend and the noise are the most likely ones under a prior
    that expects longer lengths of more groups.

    Args:
        points: Float array `(points, coordinates)`.
        values: Float array `(points,)`.
        groups: Integer array `(coordinates,)`, the group of each coordinate,
            from 0 on; coordinates of a group share a length.

    Reference:

    - [Rasmussen and Williams, 2006](https://gaussianprocess.org/gpml/)
    - [Hvarfner et al., 2024](https://arxiv.org/abs/2402.02229), the prior
    """

    def __init__(
        self, points: np.ndarray, values: np.ndarray, groups: np.ndarray
    ):
        self._points = points
        self._groups = groups
        self._mean = float(values.mean())
        self._scale = float(values.std()) or 1.0
        self._values = (values - self._mean) / self._scale
        count = int(groups.max(initial=-1)) + 1
        # Of more coordinates, each matters less.
        several = np.log(max(count, 1))
        self._centre = np.full(count + 2, several)
        self._centre[-2:] = -np.log(4.0) - several, NOISE_CENTRE
        self._spread = np.full(count + 2, LENGTHS_SPREAD)
        self._spread[-2:] = TREND_SPREAD, NOISE_SPREAD
        bounds = [LENGTHS] * count + [TREND, tuple(np.log(NOISE))]
        start = np.clip(self._centre, *np.transpose(bounds))
        found = optimize.minimize(
            self._loss,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": STEPS},
        )
        self._weights, self._trend, self._noise = self._parts(found.x)
        self._condition()
        squares = float(self._values @ self._solved)
        self._variance = (squares + 1.0) / (len(values) + 1.0)

    def believing(self, points: np.ndarray) -> "GaussianProcess":
        """Return the process with its own predictions at points as values.

        Args:
            points: Float array `(points, coordinates)`.

        Returns:
            `GaussianProcess` with the same means and less doubt.
        """
        more = copy.copy(self)
        means = (self.predict(points)[0] - self._mean) / self._scale
        more._points = np.concatenate([self._points, points])
        more._values = np.concatenate([self._values, means])
        more._condition()
        return more

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict values without their noise.

        Args:
            points: Float array `(points, coordinates)`.

        Returns:
            Tuple of float arrays `(points,)`, means and standard deviations.
        """
        cross = self._kernel(points, self._points)
        means = self._mean + self._scale * (cross @ self._solved)
        half = linalg.solve_triangular(self._factor, cross.T, lower=True)
        whole = 1.0 + self._trend * (_polynomials(points) ** 2).sum(axis=1)
        rest = np.maximum(whole - (half**2).sum(axis=0), 1e-12)
        return means, self._scale * np.sqrt(self._variance * rest)

    def _condition(self) -> None:
        kernel = self._kernel(self._points, self._points)
        kernel[np.diag_indices_from(kernel)] += self._noise
        self._factor = linalg.cholesky(kernel, lower=True)
        self._solved = linalg.cho_solve((self._factor, True), self._values)

    def _parts(self, theta) -> tuple[np.ndarray, float, float]:
        """Return weights of squared differences and of the trend; the noise."""
        *lengths, trend, noise = np.exp(theta)
        return 1 / np.array(lengths)[self._groups], float(trend), float(noise)

    def _kernel(self, points, others) -> np.ndarray:
        trend = _polynomials(points) @ _polynomials(others).T
        return _matern(self._squared(points, others))[0] + self._trend * trend

    def _squared(self, points, others) -> np.ndarray:
        scale = np.sqrt(self._weights)
        points, others = points * scale, others * scale
        squares = (points**2).sum(1)[:, None] + (others**2).sum(1)
        return np.maximum(squares - 2 * points @ others.T, 0.0)

    def _loss(self, theta) -> tuple[float, np.ndarray]:
        """Return the negative logarithm of the posterior and its gradient."""
        self._weights, self._trend, noise = self._parts(theta)
        points, count = self._points, len(self._points)
        kernel, slope = _matern(self._squared(points, points))
        terms = _polynomials(points)
        kernel += self._trend * (terms @ terms.T)
        kernel[np.diag_indices(count)] += noise
        factor = linalg.cholesky(kernel, lower=True)
        inverse = linalg.cho_solve((factor, True), np.eye(count))
        solved = inverse @ self._values
        # The most likely variance, of these values and one of variance 1.
        variance = (self._values @ solved + 1.0) / (count + 1.0)
        off = (theta - self._centre) / self._spread
        loss = (count + 1.0) / 2 * np.log(variance) + np.log(
            np.diag(factor)
        ).sum()
        outer = (inverse - np.outer(solved, solved) / variance) / 2
        inner = outer * slope
        squares = inner.sum(0) @ points**2 - (points * (inner @ points)).sum(0)
        by_group = np.zeros(len(theta))
        np.add.at(by_group, self._groups, -2 * self._weights * squares)
        by_group[-2] = self._trend * ((outer @ terms) * terms).sum()
        by_group[-1] = noise * np.trace(outer)
        return loss + (off**2).sum() / 2, by_group + off / self._spread


def _polynomials(points: np.ndarray) -> np.ndarray:
    """Return a line and a parabola of each coordinate, orthonormal."""
    centred = 2 * points - 1
    lines, parabolas = centred, (3 * centred**2 - 1) / 2
    return np.concatenate([3**0.5 * lines, 5**0.5 * parabolas], axis=1)


def _matern(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel and its derivative by squared distances."""
    root = np.sqrt(5 * squared)
    decay = np.exp(-root)
    return (1 + root + root**2 / 3) * decay, -5 / 6 * (1 + root) * decay
