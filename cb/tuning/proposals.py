"""Points that are expected to extend the front of a search most."""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import threadpoolctl
from scipy import special
from scipy.stats import qmc

from cb.seeds import generator
from cb.tuning import improvement
from cb.tuning import pareto
from cb.tuning.coordinates import Coordinates
from cb.tuning.gaussian_process import GaussianProcess

# Points that are compared first; then the best have children several times.
CANDIDATES, PARENTS, CHILDREN, GENERATIONS = 1024, 24, 16, 20
# How far a child is from its parent, in ranges, and how many are anywhere.
WIDTHS, ANYWHERE = (0.3, 0.1, 0.03, 0.01, 0.003), 0.1
# How often to look everywhere, and how far around a point of the front else.
EVERYWHERE, REACHES = 0.5, (0.4, 0.2, 0.1, 0.05)
# How far the reference is beyond the worst values of the design, in ranges.
MARGIN = 0.1
# How much likelier the logarithms of a design's values must be than the values,
# for each of them, to be modelled instead.
LIKELIER = 0.5


@dataclasses.dataclass(frozen=True)
class Tried:
    """A point with its result.

    Args:
        values: Dict of active hyperparameter to value.
        objectives: Sequence of floats to be minimized; `None` if unknown.
        violations: Dict of constraint to float, positive if broken.
    """

    values: Mapping[str, Any]
    objectives: Sequence[float] | None
    violations: Mapping[str, float]

    @property
    def broken(self) -> bool:
        """Whether a constraint is broken."""
        return any(value > 0.0 for value in self.violations.values())

    @property
    def failed(self) -> bool:
        """Whether there is nothing to know about the point."""
        return self.objectives is None and not self.broken


def design(space: Sequence, number: int, seed: int) -> dict[str, Any]:
    """Return a point of a Sobol sequence, which fills a space evenly.

    Args:
        space: Sequence of the hyperparameters of keras-tuner, each after
            those that its conditions name.
        number: Integer, the place in the sequence.
        seed: Integer, decides the sequence.

    Returns:
        Dict of active hyperparameter to value.
    """
    coordinates = Coordinates(space)
    if not coordinates.count:
        return {}
    sequence = qmc.Sobol(coordinates.count, rng=generator(seed, "design"))
    rows = sequence.random_base2(number.bit_length())
    return coordinates.values(coordinates.snapped(rows[[number]])[0])


def propose(
    space: Sequence,
    tried: Sequence[Tried],
    under_way: Sequence[Mapping[str, Any]],
    designed: int,
    seed: int,
) -> dict[str, Any] | None:
    """Choose the point that is expected to extend the front most.

    Args:
        space: As in `design`.
        tried: Sequence of `Tried`, at least one of them with objectives.
        under_way: Sequence of dicts of active hyperparameter to value, points
            without a result yet.
        designed: Integer, how many of those tried first are of the design.
            Their worst values are the reference of the hypervolume.
        seed: Integer, decides the point together with the others.

    Returns:
        Dict of active hyperparameter to value; `None` if no other point than
        those tried was found.

    Reference:

    - [Emmerich et al., 2006](https://doi.org/10.1109/TEVC.2005.859463)
    """
    # The number of threads would decide the last bit.
    with threadpoolctl.threadpool_limits(1, "blas"):
        found = _Expectation(Coordinates(space), tried, under_way, designed)
        return found.best(generator(seed, "proposal"))


class _Expectation:
    """What to expect of points that have not been tried.

    Args:
        coordinates: `Coordinates` of the space.
        tried: As in `propose`.
        under_way: As in `propose`.
        designed: As in `propose`.
    """

    def __init__(self, coordinates, tried, under_way, designed):
        self._coordinates = coordinates
        self._rows = np.array([coordinates.row(one.values) for one in tried])
        waiting = [coordinates.row(values) for values in under_way]
        self._waiting = np.reshape(waiting, (-1, coordinates.count))
        self._taken = {row.tobytes() for row in (*self._rows, *self._waiting)}
        known = [n for n, one in enumerate(tried) if one.objectives is not None]
        points = np.array([tried[n].objectives for n in known])
        designed = sum(n < designed for n in known) or len(known)
        points = _scaled(points, designed)
        self._parents = self._rows[known]
        self._objectives = [self._fitted(known, column) for column in points.T]
        self._limits = self._limited(tried)
        feasible = np.array([not tried[n].broken for n in known])
        layers = pareto.layers(points[feasible])
        self._front = self._parents[feasible][layers == 0]
        self._boxes = None
        if feasible.any():
            self._boxes = self._open_boxes(points[feasible], points[:designed])

    def _fitted(self, which, values) -> GaussianProcess:
        """Fit values of some points, then believe them at those under way."""
        features = self._coordinates.features(self._rows[which])
        process = GaussianProcess(
            features, np.asarray(values), self._coordinates.groups
        )
        return process.believing(self._coordinates.features(self._waiting))

    def _limited(self, tried) -> list[GaussianProcess]:
        """Fit what must not be positive: constraints, and failures."""
        limits = []
        for name in sorted({name for one in tried for name in one.violations}):
            which = [n for n, one in enumerate(tried) if name in one.violations]
            values = np.array([tried[n].violations[name] for n in which])
            # Some are a thousand times what is allowed.
            values = np.sign(values) * np.log1p(abs(values))
            limits.append(self._fitted(which, values))
        failed = np.array([one.failed for one in tried])
        if failed.any():
            everything = np.arange(len(tried))
            limits.append(self._fitted(everything, np.where(failed, 1.0, -1.0)))
        return limits

    def _open_boxes(self, points, designed):
        """Return the boxes before the front, up to a reference."""
        features = self._coordinates.features(self._waiting)
        believed = [one.predict(features)[0] for one in self._objectives]
        points = np.concatenate([points, np.transpose(believed)])
        front = np.unique(points[pareto.layers(points) == 0], axis=0)
        # The worst ever would move with the search: those who are best in one
        # objective and beyond all in the others would be extended forever.
        worst, best = designed.max(axis=0), designed.min(axis=0)
        reference = worst + MARGIN * (worst - best)
        inside = (front < reference).all(axis=1)
        return improvement.boxes(front[inside], reference)

    def best(self, random: np.random.Generator) -> dict[str, Any] | None:
        """Return the best point that has not been tried, if one was found."""
        everywhere = np.zeros(self._rows.shape[1]), np.ones(self._rows.shape[1])
        near = random.random() > EVERYWHERE and len(self._front)
        found = self._best_in(*self._around(random), random) if near else None
        return found or self._best_in(*everywhere, random)

    def _best_in(self, low, high, random) -> dict[str, Any] | None:
        """Return the best new point between two corners."""
        half = CANDIDATES // 2
        spread = random.random((half, len(low)))
        chosen = random.integers(len(self._parents), size=half)
        rows = _children(self._parents[chosen], random)
        rows = np.concatenate([low + (high - low) * spread, rows])
        rows = self._coordinates.snapped(np.clip(rows, low, high))
        rows = np.unique(rows, axis=0)
        scores = self._scores(rows)
        for _ in range(GENERATIONS):
            order = np.argsort(-scores, kind="stable")[:PARENTS]
            children = np.repeat(rows[order], CHILDREN, axis=0)
            children = np.clip(_children(children, random), low, high)
            children = self._coordinates.snapped(children)
            scores = np.concatenate([scores[order], self._scores(children)])
            rows, first = np.unique(
                np.concatenate([rows[order], children]),
                axis=0,
                return_index=True,
            )
            scores = scores[first]
        for place in np.argsort(-scores, kind="stable"):
            values = self._coordinates.values(rows[place])
            # Rows nearby may stand for the same integer of a long range.
            if self._coordinates.row(values).tobytes() not in self._taken:
                return values
        return None

    def _around(self, random) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners of a box around a point of the front.

        A model of few points and many coordinates is most in doubt at the
        corners of the space, and would have nothing else tried.
        """
        point = self._front[random.integers(len(self._front))]
        reach = random.choice(REACHES)
        return np.maximum(point - reach, 0.0), np.minimum(point + reach, 1.0)

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        """Compute the expected growth of the feasible hypervolume."""
        features = self._coordinates.features(rows)
        scores = np.ones(len(rows))
        if self._boxes is not None:
            found = [one.predict(features) for one in self._objectives]
            means, deviations = np.transpose(found, (1, 2, 0))
            scores = improvement.expected(means, deviations, *self._boxes)
        for limit in self._limits:
            mean, deviation = limit.predict(features)
            scores = scores * special.ndtr(-mean / deviation)
        taken = [row.tobytes() in self._taken for row in rows]
        return np.where(taken, -1.0, scores)


def _scaled(points: np.ndarray, designed: int) -> np.ndarray:
    """Return logarithms of objectives that are spread like them.

    What a FLOP is worth depends on how many there are.
    """
    points = points.copy()
    for column in points.T:
        if (column <= 0.0).any() or not np.ptp(column[:designed]):
            continue
        values, logarithms = column[:designed], np.log(column[:designed])
        gain = np.log(values.std() / logarithms.std()) - logarithms.mean()
        if gain > LIKELIER:
            column[:] = np.log(column)
    return points


def _children(rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Change some coordinates of rows, by a little or anyhow."""
    count, coordinates = rows.shape
    part = np.exp2(-random.integers(0, 6, (count, 1)))
    changed = random.random(rows.shape) < np.maximum(part, 1 / coordinates)
    width = random.choice(WIDTHS, (count, 1))
    moved = rows + width * random.standard_normal(rows.shape)
    anywhere = random.random((count, 1)) < ANYWHERE
    moved = np.where(anywhere, random.random(rows.shape), moved)
    return np.where(changed, moved, rows)
