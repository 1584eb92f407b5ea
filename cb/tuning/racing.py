"""Racing: stops a configuration that others beat on the first folds."""

from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from cb.tuning import pareto

Scores = Mapping[str, Sequence[float]]


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
