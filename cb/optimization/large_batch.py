"""Learning rate and number of epochs for a larger batch."""

import math
from typing import Literal

from cb.errors import InputError
from cb.registry import Count
from cb.registry import check

Scaling = Literal["none", "sqrt", "linear"]


def learning_rate_factor(
    scaling: str, batch_size: int, reference_batch_size: int | None
) -> float:
    """Return the factor of the learning rate for a larger batch.

    Args:
        scaling: `"none"`, `"sqrt"` (which keeps the covariance of the
            updates) or `"linear"`, of the ratio of the batches.
        batch_size: Integer, the batch in use, all replicas together.
        reference_batch_size: Integer, the batch for which the learning rate
            was chosen; may be `None` under `"none"`.

    Returns:
        Float; under 1 for a batch smaller than the reference.

    Raises:
        InputError: If the scaling is unknown or the reference missing.

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741), square root
    - [Goyal et al., 2017](https://arxiv.org/abs/1706.02677), linear
    """
    check("learning_rate_scaling", scaling, Scaling)
    if scaling == "none":
        return 1.0
    ratio = _ratio(
        batch_size, reference_batch_size, f"learning_rate_scaling={scaling!r}"
    )
    return math.sqrt(ratio) if scaling == "sqrt" else ratio


def adaptation_factor(batch_size: int, reference_batch_size: int | None) -> int:
    """Return the factor of the epochs that keeps the number of updates.

    Args:
        batch_size: Integer, the batch in use, all replicas together.
        reference_batch_size: Integer, the batch for which the epochs were
            chosen.

    Returns:
        Integer, the ratio of the batches rounded up.

    Raises:
        InputError: If a batch is missing or not a positive integer.
    """
    ratio = _ratio(batch_size, reference_batch_size, "regime_adaptation=True")
    return math.ceil(ratio)


def _ratio(batch_size, reference_batch_size, reason) -> float:
    if reference_batch_size is None:
        raise InputError(
            f"Argument `reference_batch_size` must be given with {reason}. "
            "Received: reference_batch_size=None"
        )
    check("batch_size", batch_size, Count)
    check("reference_batch_size", reference_batch_size, Count)
    return batch_size / reference_batch_size
