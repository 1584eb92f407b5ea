"""What a worker of a sweep is given, and what it gives back."""

import dataclasses
from collections.abc import Mapping

from cb.config import Config

COMPLETE, FAILED = "complete", "failed"
INFEASIBLE, OUTRACED = "infeasible", "outraced"


@dataclasses.dataclass(frozen=True)
class Task:
    """What a worker is to do.

    Args:
        config: `Config` of the run, with its folder.
        sources: Dict of field to where its value came from.
        bounds: Dict of metric to the largest value allowed.
        trained: Boolean, whether anything needs the training.
    """

    config: Config
    sources: Mapping[str, str]
    bounds: Mapping[str, float]
    trained: bool = True


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Args:
        status: `"complete"`, `"failed"`, `"infeasible"` or `"outraced"`.
        measured: Dict of metric to value.
        note: String, what is to be said of it.
        config: `Config` as it was run; `None` if that is not known.
        seconds: Float, how long it took.
    """

    status: str
    measured: Mapping[str, float]
    note: str = ""
    config: Config | None = None
    seconds: float = 0.0
