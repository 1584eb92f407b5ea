"""Requests to and results from the worker process of a sweep."""

import dataclasses
from collections.abc import Mapping

from cb.config import Config

COMPLETE, FAILED = "complete", "failed"
INFEASIBLE, OUTRACED = "infeasible", "outraced"
# At a rung, and may be taken up again.
RESTING = "resting"


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """A request to run a configuration.

    Args:
        config: `Config` of the run, with its folder.
        sources: Dict of field to the source of its value.
        bounds: Dict of metric to the largest value allowed.
        trained: Boolean, whether an objective or bound needs the training.
        divisor: Integer. The run rests after its epochs divided by this,
            rounded, at least one.
    """

    config: Config
    sources: Mapping[str, str]
    bounds: Mapping[str, float]
    trained: bool = True
    divisor: int = 1


@dataclasses.dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Args:
        status: `"complete"`, `"failed"`, `"infeasible"`, `"outraced"` or
            `"resting"`.
        measured: Dict of metric to value.
        note: String, remarks or the reason of a failure.
        config: `Config` as it was run, or `None` if unknown.
        seconds: Float, the duration.
        epochs: Integer, the epochs that the run has been trained.
        all_epochs: Integer, the epochs of the whole run.
    """

    status: str
    measured: Mapping[str, float]
    note: str = ""
    config: Config | None = None
    seconds: float = 0.0
    epochs: int = 0
    all_epochs: int = 0
