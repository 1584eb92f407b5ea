"""Progress of a sweep: one line per trial, its page, and TensorBoard."""

import contextlib
import dataclasses
import pathlib
import sys
import time
from collections.abc import Sequence

import numpy as np

from cb.errors import InputError
from cb.run_log.tensorboard import TensorBoard
from cb.text import paragraph
from cb.text import shortened
from cb.text import table
from cb.text import wrapped
from cb.tuning import pareto
from cb.tuning import report
from cb.tuning.plan import SweepPlan
from cb.tuning.results import RUNG
from cb.tuning.results import RUNGS
from cb.tuning.results import Results
from cb.tuning.results import Row
from cb.tuning.results import aggregate
from cb.tuning.run_request import COMPLETE
from cb.tuning.storage import keep

# The page takes at most a twentieth of the time.
PAGE_SHARE = 0.05
LONGEST = 44


class Progress:
    """Reports each trial when it ends.

    Args:
        plan: `SweepPlan`.
        results: `Results`.
        trials: Integer, maximum number of trials.
        folder: Path of the folder of the sweep.
        storage: String, the database of Optuna that gets the trials too, or
            `None`.

    Raises:
        InputError: If `storage` cannot be used.
    """

    def __init__(
        self,
        plan: SweepPlan,
        results: Results,
        trials: int,
        folder: pathlib.Path,
        storage: str | None = None,
    ):
        self._plan = plan
        self._results = results
        self._trials = trials
        self._folder = folder
        self._started = time.monotonic()
        # Trials with a result when this process began.
        self.done = _trials(results.read())
        self._next_page = 0.0
        self._storage = storage
        self._keep()

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
        took = _duration(sum(row["seconds"] for row in rows))
        parts = [f"trial {done}/{self._trials}", took]
        if last["status"] != COMPLETE:
            parts.append(f"{last['status']} ({last['note']})")
        parts += [
            f"{objective.name} {means[objective.name]:.4g}"
            for objective in self._plan.objectives
            if objective.name in means
        ]
        parts += [*self._best(everything), f"{_duration(left)} left"]
        print(wrapped(parts), flush=True)
        # The choice and its result, for the HParams tab.
        trial = str(last["trial"])
        log = TensorBoard(self._folder / "tensorboard")
        log.hyperparameters(self._plan.space.chosen(last), trial, part=trial)
        log.scalars(last.get(RUNG, 0), means, part=trial)
        log.close()
        try:
            self._keep()
        except InputError as error:
            # The next trial brings it there too.
            print(f"NOT STORED: {error}", flush=True)
        self._write_page()

    def end(self) -> None:
        """Add the trials that were never taken up again to the database."""
        self._keep(searching=False)

    def _keep(self, searching: bool = True) -> None:
        """Add trials to the database, also those of an earlier process."""
        if self._storage is not None:
            objectives = [
                dataclasses.replace(one, name=self._plan.columns[one.name])
                for one in self._plan.objectives
            ]
            keep(self._storage, self._folder, objectives, searching)

    def _write_page(self) -> None:
        started = time.monotonic()
        if started < self._next_page:
            return
        # The report at the end says what is wrong, if anything is.
        with contextlib.suppress(InputError):
            to = self._folder / "report"
            report.write([self._folder], to, pictures=False)
        ended = time.monotonic()
        self._next_page = ended + (ended - started) / PAGE_SHARE

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


def announce(
    plan: SweepPlan,
    oracle: str,
    rows: Sequence[Row],
    trials: int,
    storage: str | None = None,
) -> None:
    """Print what is searched, by what, and how long it takes.

    Args:
        plan: `SweepPlan`.
        oracle: String, the spec of the oracle.
        rows: Sequence of the rows that are there already.
        trials: Integer, maximum number of trials.
        storage: String, as in `Progress`.
    """
    wanted = ", ".join(one.name for one in plan.objectives)
    if plan.points:
        number = len(plan.points)
        print(paragraph(f"{number} points for {wanted}, all of them run."))
    else:
        names = "the Pareto front of " if len(plan.objectives) > 1 else ""
        print(paragraph(f"{oracle} searches for {names}{wanted}:"))
        lines = [
            (f"  {one.name}", shortened(one.range_text(), LONGEST))
            for one in plan.space.parameters
        ]
        print(table(lines, numbers=()))
    runs, done = len(plan.instances()), _trials(rows)
    each = f", up to {runs} runs each" if runs > 1 else ""
    taken = "How long one takes is known after the first"
    if done:
        seconds = sum(row["seconds"] for row in rows) / done
        taken = f"One took {_duration(seconds)} on average"
        each += f", {done} of them done"
    print(paragraph(f"{trials} trials{each}. {taken}."))
    if storage is not None:
        print(f"To look at it: optuna-dashboard {storage}")
    sys.stdout.flush()


def _trials(rows: Sequence[Row]) -> int:
    return len({row["trial"] for row in rows})


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2g} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
