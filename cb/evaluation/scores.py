"""Scores of a run's checkpoints on every test example."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cb.evaluation.opened_run import AVERAGED
from cb.evaluation.opened_run import INITIAL
from cb.evaluation.opened_run import LAST_FIVE
from cb.evaluation.opened_run import OpenedRun
from cb.runs.evaluation_csv import record
from cb.text import wrapped
from cb.training.scoring import score_parts


class CheckpointScores(NamedTuple):
    """Scores of a checkpoint on the test examples.

    Attributes:
        name: String, of the checkpoint.
        step: Integer, optimizer steps behind it.
        scores: Dict of metric to value.
    """

    name: str
    step: int
    scores: dict[str, float]


def evaluate_scores(run: OpenedRun) -> dict[str, float]:
    """Score checkpoints of a run and append the scores to its folder.

    Args:
        run: `OpenedRun`.

    Returns:
        Dict of metric to value; of several checkpoints the mean over the
        last five.
    """
    return average_last(run, [*evaluate_each(run)])


def evaluate_each(run: OpenedRun) -> Iterator[CheckpointScores]:
    """Load one checkpoint after the other, score it and record the scores.

    Args:
        run: `OpenedRun`. Its model holds the checkpoint that was yielded
            last.

    Yields:
        `CheckpointScores`, oldest first.
    """
    for name in run.checkpoints():
        meta = run.load(name)
        with run.data.decoded():
            scores = run.model.evaluate(
                run.data.test, return_dict=True, verbose=0
            )
        record(run.results, name, "test", scores)
        number = len(run.data.source.test)
        classes = run.data.source.num_classes
        print_scores(f"{run.directory.path} {name}", scores, number, classes)
        yield CheckpointScores(name, meta["step"], scores)


def average_last(
    run: OpenedRun, results: list[CheckpointScores]
) -> dict[str, float]:
    """Average over the last five trained checkpoints, if several are chosen.

    Args:
        run: `OpenedRun`.
        results: List of `CheckpointScores`, oldest first.

    Returns:
        Dict of metric to value.
    """
    if not run.has_several:
        return results[-1].scores
    trained = [result.scores for result in results if result.name != INITIAL]
    last = trained[-AVERAGED:]
    means = {
        name: float(np.mean([scores[name] for scores in last]))
        for name in last[0]
    }
    record(run.results, LAST_FIVE, "test", means)
    what = f"{run.directory.path} mean of the last {len(last)}"
    print(_line(what, score_parts(means, run.data.source.num_classes)))
    return means


def print_scores(
    what: str, scores: dict[str, float], number: int, classes: int
) -> None:
    """Print the scores on a number of examples of some classes."""
    print(_line(what, score_parts(scores, classes), f"({number} examples)"))


def _line(what: str, shown: list[str], *others: str) -> str:
    # A line is looked for by what it begins with.
    return wrapped([f"{what}: test  {shown[0]}", *shown[1:], *others])
