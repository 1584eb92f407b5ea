"""Progress of a sweep: one line per trial, and TensorBoard."""

import pathlib
import time
from collections.abc import Sequence

import numpy as np

from cb.run_log.tensorboard import TensorBoard
from cb.tuning import pareto
from cb.tuning.plan import SweepPlan
from cb.tuning.results import RUNG
from cb.tuning.results import RUNGS
from cb.tuning.results import Results
from cb.tuning.results import Row
from cb.tuning.results import aggregate
from cb.tuning.run_request import COMPLETE


class Progress:
    """Reports each trial when it ends.

    Args:
        plan: `SweepPlan`.
        results: `Results`.
        trials: Integer, maximum number of trials.
        folder: Path of the folder of the sweep.
    """

    def __init__(
        self,
        plan: SweepPlan,
        results: Results,
        trials: int,
        folder: pathlib.Path,
    ):
        self._plan = plan
        self._results = results
        self._trials = trials
        self._folder = folder
        self._started = time.monotonic()
        # Trials with a result when this process began.
        self.done = _trials(results.read())

    def note(self, rows: Sequence[Row]) -> None:
        """Print a line and log a session for TensorBoard.

        Args:
            rows: Sequence of the rows of a trial.
        """
        everything = self._results.read()
        done = _trials(everything)
        # By all processes that share the sweep.
        ended = max(done - self.done, 1)
        each = (time.monotonic() - self._started) / ended
        left = max(self._trials - done, 0) * each
        last, means = rows[-1], self._plan.means(rows)
        parts = [f"trial {done}/{self._trials}"]
        if last["status"] != COMPLETE:
            parts.append(f"{last['status']} ({last['note']})")
        parts += [
            f"{objective.name} {means[objective.name]:.4g}"
            for objective in self._plan.objectives
            if objective.name in means
        ]
        parts += [*self._best(everything), f"{_duration(left)} left"]
        print("  ".join(parts), flush=True)
        # The choice and its result, for the HParams tab.
        trial = str(last["trial"])
        log = TensorBoard(self._folder / "tensorboard")
        log.hyperparameters(self._plan.space.chosen(last), trial, part=trial)
        log.scalars(last.get(RUNG, 0), means, part=trial)
        log.close()

    def print_epochs(self) -> None:
        """Print what trials that were halved have cost."""
        rows = self._results.read()
        _, trained, planned = (
            sum(row.get(name, 0) for row in rows) for name in RUNGS
        )
        seconds = sum(row["seconds"] for row in rows)
        print(
            f"Trained {trained} of {planned} epochs "
            f"({trained / max(planned, 1):.3f}) in {_duration(seconds)}",
            flush=True,
        )

    def _best(self, rows: Sequence[Row]) -> list[str]:
        columns = [self._plan.columns[o.name] for o in self._plan.objectives]
        found = aggregate(rows, columns, ["trial"])
        found = [p for p in found if set(columns) <= set(p.means)]
        if not found:
            return []
        values = np.array([[p.means[name] for name in columns] for p in found])
        signs = np.array([o.minimized(1.0) for o in self._plan.objectives])
        front = int(np.sum(pareto.layers(values * signs) == 0))
        best = (values * signs).min(axis=0) * signs
        text = " ".join(f"{value:.4g}" for value in best)
        return [f"| best {text}, front of {front}"]


def _trials(rows: Sequence[Row]) -> int:
    return len({row["trial"] for row in rows})


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
