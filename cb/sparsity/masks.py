"""The verbs of masks: keep, grow, count. NumPy arrays in, arrays out."""

from collections.abc import Mapping

import numpy as np


def keep_top(
    scores: np.ndarray, count: int, where: np.ndarray | None = None
) -> np.ndarray:
    """Choose exactly the `count` highest scores; ties go to the lower index.

    Runs in linear time (selection, not sorting).

    Args:
        scores: Float array of any shape.
        count: Integer, how many to choose.
        where: Boolean array of the same shape, the positions that may be
            chosen. Defaults to all.

    Returns:
        Boolean array of the shape of `scores` with `count` true entries.

    Raises:
        ValueError: If `count` is out of range or a score is NaN.
    """
    flat = scores.reshape(-1)
    positions = None if where is None else np.flatnonzero(where)
    eligible = flat if positions is None else flat[positions]
    if not 0 <= count <= eligible.size:
        raise ValueError(
            f"Argument `count` must be in [0, {eligible.size}], the number of "
            f"eligible positions. Received: count={count}"
        )
    chosen = np.zeros(flat.size, bool)
    top = _top_positions(eligible, count)
    chosen[top if positions is None else positions[top]] = True
    return chosen.reshape(scores.shape)


def _top_positions(scores: np.ndarray, count: int) -> np.ndarray:
    if count == 0:
        return np.empty(0, np.intp)
    top = np.partition(scores, scores.size - count)[-count:]
    # NaN sorts above everything, so any is among the top.
    if np.isnan(top).any():
        raise ValueError("Argument `scores` must not hold NaN.")
    above = np.flatnonzero(scores > top[0])
    ties = np.flatnonzero(scores == top[0])[: count - above.size]
    return np.concatenate([above, ties])


def keep_top_across(
    scores: Mapping[str, np.ndarray],
    count: int,
    where: Mapping[str, np.ndarray],
    minimum: int = 1,
) -> dict[str, np.ndarray]:
    """Choose the `count` highest scores of several arrays together.

    Args:
        scores: Dict of key to float array; the arrays are comparable.
        count: Integer, how many to choose in all.
        where: Dict of key to boolean array, the positions that may be
            chosen.
        minimum: Integer, how many are chosen in every array at least, as far
            as it has them.

    Returns:
        Dict of key to boolean array. Ties go to the earlier array, then to
        the lower index.

    Raises:
        ValueError: If `count` is out of range or a score is NaN.
    """
    chosen = {
        key: keep_top(
            values, min(minimum, int(np.count_nonzero(where[key]))), where[key]
        )
        for key, values in scores.items()
    }
    left = count - sum(int(np.count_nonzero(mask)) for mask in chosen.values())
    rest = {key: np.flatnonzero(where[key] & ~chosen[key]) for key in scores}
    eligible = [scores[key].reshape(-1)[rest[key]] for key in scores]
    top = keep_top(np.concatenate(eligible), left)
    first = 0
    for key, positions in rest.items():
        picked = top[first : first + positions.size]
        chosen[key].reshape(-1)[positions[picked]] = True
        first += positions.size
    return chosen


def choose(
    where: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """Choose exactly `count` of the positions `where`, uniformly.

    Args:
        where: Boolean array, the positions that may be chosen.
        count: Integer, how many to choose.
        random: NumPy generator.

    Returns:
        Boolean array of the shape of `where` with `count` true entries.
    """
    chosen = np.zeros(where.size, bool)
    if count:
        positions = np.flatnonzero(where)
        chosen[
            random.choice(positions, count, replace=False, shuffle=False)
        ] = True
    return chosen.reshape(where.shape)


def count(mask: np.ndarray) -> int:
    """Count the active connections of a boolean mask, exactly."""
    return int(np.count_nonzero(mask))
