"""Attempts of auto-tune, and the rule for another one."""

import dataclasses
from typing import Any

from cb.errors import RunError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """One training of auto-tune.

    Attributes:
        kind: `"tune"`, or for the controls at the end `"full"` (the
            architecture of the start, without checks) or `"random"` (as
            many blocks as were kept, chosen at random).
        blocks: Tuple of integers, number of blocks of each type.
        outcome: `"finished"`, `"conflict"` or `"diverged"`.
        kept: Positions of the blocks that stay, or `None`.
        next_blocks: Blocks of the next attempt, or `None`.
        entropies: Bundle entropy by layer at the last check.
        checks: Integer, how many checks there were.
        parameters: Integer, number of weights, without zeros of kernels.
        flops: Integer, floating-point operations for one example.
        steps: Integer, optimizer steps.
        seconds: Float, of the whole attempt.
        step_seconds: Float, median of a training step, or `None`.
        results: Dict of metric to value, from the caller's evaluation.
    """

    kind: str = "tune"
    blocks: tuple[int, ...]
    outcome: str
    kept: tuple[int, ...] | None = None
    next_blocks: tuple[int, ...] | None = None
    entropies: dict[str, float]
    checks: int
    parameters: int
    flops: int
    steps: int
    seconds: float
    step_seconds: float | None
    results: dict[str, float]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Attempt":
        """Return the attempt that `dataclasses.asdict` and JSON wrote."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**fields)


class AutoTuneError(RunError):
    """Auto-tune cannot continue.

    Attributes:
        attempts: List of `Attempt`.
    """

    def __init__(self, message: str, attempts: list[Attempt]):
        super().__init__(message)
        self.attempts = attempts


def check_restart(attempts: list[Attempt], restarts: int) -> tuple[int, ...]:
    """Return the next blocks, if another attempt makes sense.

    Args:
        attempts: Attempts so far, none of them finished.
        restarts: Integer, how many may follow the first attempt.

    Returns:
        Tuple of integers, number of blocks of each type.

    Raises:
        AutoTuneError: If no other attempt makes sense.
    """
    last = attempts[-1]
    blocks = last.next_blocks or ()
    start = f"Auto-tune stopped after {len(attempts)} attempt(s)"
    if last.outcome == "diverged":
        reason = (
            f"training of blocks {last.blocks} diverged: activations or "
            "weights are not finite. Lower the learning rate."
        )
    elif not sum(blocks):
        reason = (
            f"every block of {last.blocks} would be removed. Raise the "
            "tolerance, or use wider layers, a larger learning rate or "
            "smaller batches."
        )
    elif blocks == last.blocks:
        reason = f"a restart would change nothing about blocks {last.blocks}."
    elif len(attempts) > restarts:
        reason = (
            f"blocks {last.blocks} still have conflicts and only {restarts} "
            f"restart(s) are allowed. The next blocks were {blocks}."
        )
    else:
        return blocks
    raise AutoTuneError(f"{start}: {reason}", attempts)
