"""Racing: stops a configuration that others beat on folds or in epochs."""

import dataclasses
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Annotated
from typing import NamedTuple

import numpy as np

from cb.errors import argument_error
from cb.registry import Interval
from cb.registry import OpenFraction
from cb.registry import nothing
from cb.registry import one_of
from cb.tuning import pareto

Scores = Mapping[str, Sequence[float]]
# How far beyond the worst the reference of hypervolumes is, of the range. Any
# closer, and the most accurate trial is the first to rest for good where it is
# also the largest.
MARGIN = 1.0


@dataclasses.dataclass(frozen=True)
class Halving:
    """Asynchronous successive halving over epochs.

    A trial rests at each rung, a part of its own epochs, and is taken up again
    while it is among the best of those that have reached the rung.

    Args:
        eta: Integer. The best 1 / `eta` of the trials at a rung continue, and
            the next rung has `eta` times as many epochs.
        least: Float. The first rung is the lowest power of 1 / `eta` that is
            not below it.

    Raises:
        InputError: If there would be no rung but the last.

    Reference:

    - [Li et al., 2020](https://arxiv.org/abs/1810.05934)
    """

    eta: Annotated[int, Interval("[2, inf)")] = 3
    least: OpenFraction = 0.1

    def __post_init__(self):
        if len(self.rungs) < 2:
            expected = "at most 1 / `eta`"
            raise argument_error("least", expected, self.least, eta=self.eta)

    @property
    def rungs(self) -> tuple[int, ...]:
        """The numbers that the epochs are divided by at each rung."""
        found = [1]
        while found[0] * self.eta * self.least <= 1.0:
            found.insert(0, found[0] * self.eta)
        return tuple(found)


def parse_racing(text: str) -> Halving | None:
    """Parse how trials are raced.

    Args:
        text: String, `"folds"` or a spec of `"halving"`.

    Returns:
        `Halving`, or `None` for a race over folds.

    Raises:
        InputError: If the spec is wrong.
    """
    parts: dict[str, Callable] = {"folds": nothing, "halving": Halving}
    spec = one_of(text, "racing", parts)
    return Halving(**spec.kwargs) if spec.name == "halving" else None


class Climb(NamedTuple):
    """A trial on its way over rungs.

    Attributes:
        scores: List of the objectives at each rung reached, to be minimized.
        rests: Boolean, whether there are epochs left.
    """

    scores: list[Sequence[float]]
    rests: bool


def promoted(
    trials: Mapping[str, Climb],
    halving: Halving,
    under_way: Collection[str] = (),
    closing: bool = False,
) -> tuple[str, int] | None:
    """Choose the trial to take up again.

    Args:
        trials: Dict of trial to `Climb`.
        halving: `Halving`.
        under_way: Trials that are in training.
        closing: Boolean, whether no new trial comes. Before, no more than
            the share have continued at any time, though some that did may be
            beaten since; then all of the best do, their number rounded up, so
            that one trial at least is complete.

    Returns:
        Tuple of the trial and the number of its next rung, the highest
        possible; or `None`.
    """
    for rung in reversed(range(len(halving.rungs) - 1)):
        there = {
            trial: one.scores[min(rung, len(one.scores) - 1)]
            for trial, one in trials.items()
            # One that is complete has passed all rungs.
            if len(one.scores) > rung or not one.rests
        }
        up = halving.eta - 1 if closing else 0
        share = (len(there) + up) // halving.eta
        continued = sum(
            len(trials[trial].scores) > rung + 1 or trial in under_way
            for trial in there
        )
        if continued >= share and not closing:
            continue
        for trial in ranked(there)[:share]:
            one = trials[trial]
            waits = one.rests and len(one.scores) == rung + 1
            if waits and trial not in under_way:
                return trial, rung + 1
    return None


def ranked(scores: Mapping[str, Sequence[float]]) -> list[str]:
    """Rank trials by layers of the front, then by their hypervolume share.

    Args:
        scores: Dict of trial to its objectives, all to be minimized.

    Returns:
        List of the trials, the best first. The share of a trial is what its
        layer would lose without it, each objective scaled to the range of all
        trials and the reference point as far beyond the worst as they are from
        the best. Of equal trials all but the first have none.
    """
    trials = list(scores)
    if not trials:
        return []
    points = np.array([scores[trial] for trial in trials], np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    layers = pareto.layers(points)
    shares = np.zeros(len(trials))
    for layer in np.unique(layers):
        places = np.flatnonzero(layers == layer)
        different, first = np.unique(scaled[places], axis=0, return_index=True)
        shares[places[first]] = pareto.shares(
            different, [1.0 + MARGIN] * points.shape[1]
        )
    order = np.lexsort((np.arange(len(trials)), -shares, layers))
    return [trials[place] for place in order]


def is_due(count: int) -> bool:
    """Tell whether to compare after so many runs: 1, 2, 4, 8, ..."""
    return count & (count - 1) == 0


def loses(challenger: Scores, others: Sequence[Scores]) -> bool:
    """Tell whether to stop running a configuration.

    Args:
        challenger: Dict of an instance (a fold and a seed) to the scores of
            the configuration on it, all to be minimized.
        others: Sequence of such dicts of the configurations that have run
            on every instance.

    Returns:
        Boolean: whether a configuration on the Pareto front of the others
        dominates the challenger on the instances it has run on.

    Reference:

    - [Birattari et al., 2002](https://dl.acm.org/doi/10.5555/2955491.2955494)
    """
    if not others:
        return False
    whole = np.array([_mean(scores, list(scores)) for scores in others])
    front = np.flatnonzero(pareto.layers(whole) == 0)
    mine = _mean(challenger, list(challenger))
    return any(
        pareto.dominates(_mean(others[int(place)], list(challenger)), mine)
        for place in front
    )


def _mean(scores: Scores, instances: Sequence[str]) -> np.ndarray:
    return np.mean([scores[instance] for instance in instances], axis=0)
