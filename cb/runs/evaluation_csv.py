"""The scores and costs in a run's `evaluation.csv`."""

from cb.runs.directory import RunDirectory
from cb.runs.long_csv import EVALUATION_HEADER
from cb.runs.long_csv import LongCsv


def record(
    run: RunDirectory, checkpoint: str, split: str, scores: dict[str, float]
) -> None:
    """Append scores to `evaluation.csv`."""
    LongCsv(run.evaluation_file, EVALUATION_HEADER, run.writes).append(
        (checkpoint, split, name, value) for name, value in scores.items()
    )
