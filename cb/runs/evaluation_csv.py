"""Scores and costs of a run, in `evaluation.csv`."""

from cb.runs.directory import RunDirectory
from cb.runs.long_csv import EVALUATION_HEADER
from cb.runs.long_csv import LongCsv


def record(
    run: RunDirectory, checkpoint: str, split: str, scores: dict[str, float]
) -> None:
    """Append scores to `evaluation.csv`.

    Args:
        run: `RunDirectory`.
        checkpoint: String, name of the checkpoint.
        split: String, such as `"test"`, or `"costs"`.
        scores: Dict of name to number.
    """
    if run.writes:
        LongCsv(run.evaluation_file, EVALUATION_HEADER).append(
            (checkpoint, split, name, value) for name, value in scores.items()
        )
