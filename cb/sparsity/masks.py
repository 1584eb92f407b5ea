"""Operations on masks: keep, choose, count. NumPy arrays in, arrays out."""

import functools
import itertools
from collections.abc import Mapping

import numpy as np

from cb.errors import InputError
from cb.errors import RunError

# Numbers of scores that are sampled to bracket the one to select: the least
# and the most, and of how many scores one is.
SAMPLE, LARGEST_SAMPLE, SAMPLED = 1024, 8192, 64
# Groups up to this size are ranked by comparing pairs, faster than sorting.
LARGEST_UNSORTED_GROUP = 16


def keep_top(
    scores: np.ndarray, count: int, where: np.ndarray | None = None
) -> np.ndarray:
    """Choose exactly the `count` highest scores; ties go to the lower index.

    Runs in linear time (selection, not sorting).

    Args:
        scores: Float array of any shape.
        count: Integer, the number to choose.
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
    """Return the `count`-th highest score, counted from 1.

    A sample brackets it, which leaves few scores to select from: selection
    is slow, and slower still among equal scores.
    """
    if (
        np.isnan(scores.max())
        and np.isnan(scores if where is None else scores[where]).any()
    ):
        raise not_finite()
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
            return _partitioned(_taken(scores, between), left)
        equal = scores == low
        if where is not None:
            equal &= where
        if 0 < left <= number + int(np.count_nonzero(equal)):
            return low
    if where is None:
        return _partitioned(scores.reshape(-1).copy(), count)
    return _partitioned(_taken(scores, where), count)


def not_finite() -> RunError:
    """Return the error of a training that has diverged."""
    return RunError(
        "Scores of connections must not be NaN: weights or gradients are "
        "no longer finite. A lower `--learning_rate` may help."
    )


def _taken(scores, where):
    """Return the scores at some places, faster than an index of booleans."""
    return scores.reshape(-1).take(np.flatnonzero(where))


def _partitioned(scores, count):
    scores.partition(scores.size - count)
    return scores[scores.size - count]


def _bracket(fraction, scores, where):
    """Return scores below and above the quantile with `fraction` above it."""
    places = _sampled_places(scores.size)
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


@functools.lru_cache(maxsize=256)
def _sampled_places(size):
    number = min(max(size // SAMPLED, SAMPLE), LARGEST_SAMPLE)
    # Multiples of the golden ratio are spread evenly over any shape.
    places = np.arange(number) * 0.6180339887498949 % 1.0 * size
    return places.astype(np.intp)


def keep_top_across(
    scores: Mapping[str, np.ndarray],
    count: int,
    where: Mapping[str, np.ndarray],
    minimum: int = 1,
) -> dict[str, np.ndarray]:
    """Choose the `count` highest scores of several arrays together.

    Args:
        scores: Dict of key to float array; the arrays are comparable.
        count: Integer, the number to choose in all.
        where: Dict of key to boolean array, the positions that may be
            chosen.
        minimum: Integer, the least number to choose in every array, as far
            as it has eligible positions.

    Returns:
        Dict of key to boolean array. Ties go to the earlier array, then to
        the lower index.

    Raises:
        InputError: If `minimum` takes more than `count`.
        ValueError: If `count` is out of range or a score is NaN.
    """
    chosen = {
        key: keep_top(
            values, min(minimum, int(np.count_nonzero(where[key]))), where[key]
        )
        for key, values in scores.items()
    }
    left = count - sum(int(np.count_nonzero(mask)) for mask in chosen.values())
    if left < 0:
        raise InputError(
            "Argument `minimum` must leave every layer that many connections, "
            f"of {count} in all. Received: minimum={minimum}, for "
            f"{len(scores)} layers"
        )
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


def keep_top_of_groups(
    scores: np.ndarray, n: int, m: int, axis: int
) -> np.ndarray:
    """Choose the `n` highest of every `m` scores along an axis.

    Args:
        scores: Float array.
        n: Integer, the number to choose of a group.
        m: Integer, size of a group; the last one may be smaller.
        axis: Integer.

    Returns:
        Boolean array of the shape of `scores`. Ties go to the lower index.
    """
    axis %= scores.ndim
    shape = scores.shape
    padding = [(0, 0)] * scores.ndim
    padding[axis] = (0, -shape[axis] % m)
    groups = scores
    if padding[axis][1]:
        groups = np.pad(scores, padding, constant_values=-np.inf)
    groups = groups.reshape(*shape[:axis], -1, m, *shape[axis + 1 :])
    if m > LARGEST_UNSORTED_GROUP:
        order = np.argsort(-groups, axis=axis + 1, kind="stable")
        chosen = np.zeros(groups.shape, bool)
        best = order.take(range(n), axis + 1)
        np.put_along_axis(chosen, best, True, axis=axis + 1)
    else:
        chosen = _top_of_small_groups(groups, n, axis + 1)
    chosen = chosen.reshape(*shape[:axis], -1, *shape[axis + 1 :])
    return chosen.take(range(shape[axis]), axis) if padding[axis][1] else chosen


def _top_of_small_groups(groups: np.ndarray, n: int, axis: int) -> np.ndarray:
    """Choose by comparing all pairs, which is faster than sorting."""
    members = [groups.take(index, axis) for index in range(groups.shape[axis])]
    ranks = [np.zeros(members[0].shape, np.int32) for _ in members]
    for first, second in itertools.combinations(range(len(members)), 2):
        wins = members[first] >= members[second]
        ranks[second] += wins
        ranks[first] += ~wins
    return np.stack([rank < n for rank in ranks], axis)


def choose(
    where: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """Choose exactly `count` of the positions `where`, uniformly.

    Args:
        where: Boolean array, the positions that may be chosen.
        count: Integer, the number to choose.
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

    The cost of choosing a few of many is in proportion to the few.

    Args:
        where: Boolean array, the positions that may be chosen.
        count: Integer, the number to choose.
        random: NumPy generator.

    Returns:
        Integer array `(count,)` of distinct flat positions.

    Raises:
        ValueError: If fewer positions are eligible.
    """
    flat = where.reshape(-1)
    eligible = int(np.count_nonzero(flat))
    if 8 * count > flat.size or 2 * eligible < flat.size:
        positions = np.flatnonzero(flat)
        return random.choice(positions, count, replace=False, shuffle=False)
    # Ineligible and repeated draws are drawn again.
    found = np.empty(0, np.int64)
    turn = np.empty(flat.size, np.int64)
    while found.size < count:
        wanted = 1.2 * (count - found.size) * flat.size / eligible
        draws = random.integers(flat.size, size=int(wanted) + 8)
        draws = np.concatenate([found, draws[flat[draws]]])
        turns = np.arange(draws.size)
        # Backwards, so that the first draw of a position wins.
        turn[draws[::-1]] = turns[::-1]
        found = draws[turn[draws] == turns][:count]
    return found


def count(mask: np.ndarray) -> int:
    """Count the active connections of a boolean mask, exactly."""
    return int(np.count_nonzero(mask))
