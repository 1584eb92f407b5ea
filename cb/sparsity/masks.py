"""The verbs of masks: keep, grow, count. NumPy arrays in, arrays out."""

from collections.abc import Mapping

import numpy as np

from cb.errors import RunError

# How many scores are looked at to guess where selection has to look.
SAMPLE = 8192


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
        RunError: If a score is NaN.
        ValueError: If `count` is out of range.
    """
    scores = np.ascontiguousarray(scores)
    eligible = scores.size if where is None else int(np.count_nonzero(where))
    if not 0 <= count <= eligible:
        raise ValueError(
            f"Argument `count` must be in [0, {eligible}], the number of "
            f"eligible positions. Received: count={count}"
        )
    if count == 0:
        return np.zeros(scores.shape, bool)
    lowest = _highest(count, scores, where, eligible)
    chosen = scores >= lowest
    if where is not None:
        chosen &= where
    surplus = int(np.count_nonzero(chosen)) - count
    if surplus:
        ties = np.flatnonzero(chosen & (scores == lowest))
        chosen.reshape(-1)[ties[ties.size - surplus :]] = False
    return chosen


def _highest(count, scores, where, eligible):
    """Return the score that is number `count` from the top, from 1.

    A sample brackets it, so that selection, which is slow and slower still
    among equal scores, is left with few.
    """
    if (
        np.isnan(scores.max())
        and np.isnan(scores if where is None else scores[where]).any()
    ):
        # What a training that diverges comes to: no mistake of the caller.
        raise RunError(
            "Scores of connections must not be NaN: weights or gradients are "
            "no longer finite. A lower `--learning_rate` may help."
        )
    if scores.size > 4 * SAMPLE:
        low, high = _bracket(count / eligible, scores, where)
        above, between = scores > high, scores > low
        if where is not None:
            above &= where
            between &= where
        between ^= above
        left = count - int(np.count_nonzero(above))
        number = int(np.count_nonzero(between))
        if 0 < left <= number:
            return _partitioned(scores[between], left)
        equal = scores == low
        if where is not None:
            equal &= where
        if 0 < left <= number + int(np.count_nonzero(equal)):
            return low
    if where is None:
        return _partitioned(scores.reshape(-1).copy(), count)
    return _partitioned(scores[where], count)


def _partitioned(scores, count):
    scores.partition(scores.size - count)
    return scores[scores.size - count]


def _bracket(fraction, scores, where):
    """Return scores below and above that which has a fraction above it."""
    # Multiples of the golden ratio are spread evenly over any shape.
    places = np.arange(SAMPLE) * 0.6180339887498949 % 1.0 * scores.size
    places = places.astype(np.intp)
    sample = scores.reshape(-1)[places]
    if where is not None:
        sample = sample[where.reshape(-1)[places]]
    if not sample.size:
        return np.inf, -np.inf
    sample = np.sort(sample)
    middle = (1.0 - fraction) * sample.size
    margin = 4.0 * np.sqrt(middle * fraction) + 4.0
    last = sample.size - 1
    first, final = np.clip([middle - margin, middle + margin], -1, last + 1)
    low = sample[int(first)] if first >= 0 else -np.inf
    high = sample[int(final)] if final <= last else np.inf
    return low, high


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
    rest = {key: where[key] & ~chosen[key] for key in scores}
    top = keep_top(
        np.concatenate([values.reshape(-1) for values in scores.values()]),
        left,
        np.concatenate([mask.reshape(-1) for mask in rest.values()]),
    )
    first = 0
    for mask in chosen.values():
        mask |= top[first : first + mask.size].reshape(mask.shape)
        first += mask.size
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
    chosen = np.zeros(where.shape, bool)
    chosen.reshape(-1)[choose_positions(where, count, random)] = True
    return chosen


def choose_positions(
    where: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """Choose exactly `count` of the positions `where`, uniformly.

    Where a few of many are to be chosen, their number decides the cost.

    Args:
        where: Boolean array, the positions that may be chosen.
        count: Integer, how many to choose.
        random: NumPy generator.

    Returns:
        Integer array `(count,)` of distinct flat positions.

    Raises:
        ValueError: If there are fewer.
    """
    flat = where.reshape(-1)
    eligible = int(np.count_nonzero(flat))
    if 8 * count > flat.size or 2 * eligible < flat.size:
        positions = np.flatnonzero(flat)
        return random.choice(positions, count, replace=False, shuffle=False)
    # Draws that may not be chosen, or were before, are drawn again.
    found = np.empty(0, np.int64)
    turn = np.empty(flat.size, np.int64)
    while found.size < count:
        wanted = 1.2 * (count - found.size) * flat.size / eligible
        draws = random.integers(flat.size, size=int(wanted) + 8)
        draws = np.concatenate([found, draws[flat[draws]]])
        turns = np.arange(draws.size)
        # Backwards, so that the first draw of a position is what is left.
        turn[draws[::-1]] = turns[::-1]
        found = draws[turn[draws] == turns][:count]
    return found


def count(mask: np.ndarray) -> int:
    """Count the active connections of a boolean mask, exactly."""
    return int(np.count_nonzero(mask))
