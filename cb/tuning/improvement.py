"""Expected growth of the hypervolume of a front."""

import numpy as np
from scipy import special


def boxes(
    front: np.ndarray, reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cut what no point dominates, up to a reference point, into boxes.

    Args:
        front: Float array `(points, objectives)`, all to be minimized.
        reference: Float array `(objectives,)`.

    Returns:
        Tuple of float arrays `(boxes, objectives)`, the lower corners, which
        may be infinite, and the upper corners.

    Reference:

    - [Lacour et al., 2017](https://doi.org/10.1016/j.cor.2016.08.008)
    """
    count = len(reference)
    # Each upper corner has a point that defines each of its coordinates.
    upper = reference[None].astype(float)
    defined = np.full((1, count, count), -np.inf)
    defined[0, range(count), range(count)] = reference
    for point in front[np.lexsort(front.T)]:
        cut = (point < upper).all(axis=1)
        new_upper, new_defined = [upper[~cut]], [defined[~cut]]
        for axis in range(count):
            others = np.delete(defined[cut], axis, axis=1)[:, :, axis]
            kept = point[axis] >= others.max(axis=1, initial=-np.inf)
            corner, by = upper[cut][kept].copy(), defined[cut][kept].copy()
            corner[:, axis], by[:, axis] = point[axis], point
            new_upper.append(corner)
            new_defined.append(by)
        upper, defined = np.concatenate(new_upper), np.concatenate(new_defined)
    lower = np.full_like(upper, -np.inf)
    for axis in range(1, count):
        lower[:, axis] = defined[:, :axis, axis].max(axis=1)
    real = (lower < upper).all(axis=1)
    return lower[real], upper[real]


def expected(
    means: np.ndarray,
    deviations: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> np.ndarray:
    """Compute by how much normal points are expected to extend a front.

    Args:
        means: Float array `(points, objectives)`.
        deviations: Float array `(points, objectives)`, standard deviations;
            objectives are independent.
        lower: Float array `(boxes, objectives)`, of `boxes`.
        upper: Float array `(boxes, objectives)`.

    Returns:
        Float array `(points,)`, the exact expectation of the hypervolume that
        each would add.
    """
    product = np.ones((len(means), len(lower)))
    for axis in range(means.shape[1]):
        mean, deviation = means[:, axis, None], deviations[:, axis, None]
        edges, where = np.unique(
            np.concatenate([lower[:, axis], upper[:, axis]]),
            return_inverse=True,
        )
        below = _below((edges - mean) / deviation) * deviation
        product *= below[:, where[len(lower) :]] - below[:, where[: len(lower)]]
    return product.sum(axis=1)


def _below(z: np.ndarray) -> np.ndarray:
    """Return how far a standard normal number is expected to be below."""
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    # Nothing is below minus infinity.
    finite = np.where(np.isinf(z), 0.0, z)
    return np.where(np.isinf(z), 0.0, finite * special.ndtr(z) + density)
