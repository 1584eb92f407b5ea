"""Runs of a trial on its folds and seeds, raced."""

import dataclasses
import pathlib
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from math import isclose
from math import isfinite
from typing import Any

from cb.errors import InputError
from cb.runs.command_line import command_line
from cb.tuning import racing
from cb.tuning.plan import SweepPlan
from cb.tuning.results import RUNG
from cb.tuning.results import RUNGS
from cb.tuning.results import Results
from cb.tuning.results import Row
from cb.tuning.results import complete_groups
from cb.tuning.run_request import COMPLETE
from cb.tuning.run_request import FAILED
from cb.tuning.run_request import OUTRACED
from cb.tuning.run_request import RESTING
from cb.tuning.run_request import RunRequest
from cb.tuning.run_request import RunResult
from cb.tuning.worker import Worker

# Among the values of a trial that is taken up again.
NEXT_RUNG = "tuner/rung"


@dataclasses.dataclass
class Runner:
    """Runs trials and records their results.

    Args:
        plan: `SweepPlan`.
        worker: `Worker`.
        results: `Results`.
        folder: Path for the run folders.
    """

    plan: SweepPlan
    worker: Worker
    results: Results
    folder: pathlib.Path

    def run(self, trial_id: str, values: Mapping[str, Any]) -> list[Row]:
        """Run a configuration on its folds and seeds until it loses a race.

        Args:
            trial_id: String.
            values: Dict of hyperparameter to value.

        Returns:
            List of its rows in the results. Those that are there already, of a
            process that was killed since, are not run again.

        Raises:
            InputError: If the results of this trial are those of other values.
        """
        point, config_id = self._point(trial_id, values)
        rows: list[Row] = []
        recorded = self._recorded(trial_id, values, point)
        instances = self.plan.instances()
        for number, (fold, seed) in enumerate(instances, start=1):
            if (fold, seed) in recorded:
                rows.append(recorded[fold, seed])
            else:
                outcome = self._outcome(trial_id, values, point, fold, seed)
                row = self._row(point, outcome, fold, seed)
                row |= {"config_id": config_id, "trial": trial_id}
                if self.plan.halving:
                    row |= self._rung(row, outcome, values.get(NEXT_RUNG, 0))
                rows.append(row)
            if rows[-1]["status"] != COMPLETE:
                break
            raced = number < len(instances) and not self.plan.points
            if raced and racing.is_due(number):
                if racing.loses(self._scores(rows), self._others()):
                    rows[-1]["status"] = OUTRACED
                    break
        self.results.append(rows)
        return rows

    def promoted(
        self, under_way: Collection[str], closing: bool
    ) -> tuple[str, int] | None:
        """Choose the trial to take up again and its rung, as in `racing`."""
        if self.plan.halving is None:
            return None
        trials: dict[str, racing.Climb] = {}
        for row in self.results.history():
            trial, status = row["trial"], row["status"]
            if status in (COMPLETE, RESTING):
                before = trials[trial].scores if trial in trials else []
                scores = [*before, self.plan.scores(row)]
                trials[trial] = racing.Climb(scores, status == RESTING)
            else:
                trials.pop(trial, None)
        return racing.promoted(trials, self.plan.halving, under_way, closing)

    def objectives(self, rows: Sequence[Row]) -> dict[str, float]:
        """Average the objectives over the runs of a trial.

        Objectives of an infeasible point that are not known are the worst.
        """
        found = self.plan.means(rows)
        for objective in self.plan.objectives:
            found.setdefault(objective.name, objective.worst)
        return found

    def _point(self, trial_id: str, values: Mapping[str, Any]):
        if self.plan.points:
            point = dict(self.plan.points[values["point"]])
            return point, str(point.pop("config_id"))
        config, _ = self.plan.config({})
        return dict(values), f"{config.seed}-{trial_id}"

    def _recorded(
        self, trial_id: str, values, point
    ) -> dict[tuple[str, int], Row]:
        """Return the rows of a trial by fold and seed.

        Those of a rung that is left behind do not count.
        """
        chosen = self.plan.space.chosen(point)
        found = {}
        for row in self.results.read():
            rung = values.get(NEXT_RUNG, 0)
            if row["trial"] != trial_id or row.get(RUNG, 0) < rung:
                continue
            before = self.plan.space.chosen(row)
            if not _equal(before, chosen):
                raise InputError(
                    "The results of a sweep must be those of its search. "
                    f"Received: {str(self.results.file)!r}, where trial "
                    f"{trial_id} has {before} instead of {chosen}"
                )
            found[row.get("fold", ""), row["seed"]] = {"note": "", **row}
        return found

    def _outcome(self, trial_id, values, point, fold, seed) -> RunResult:
        chosen = self.plan.space.settings(point)
        chosen["seed"] = seed
        if fold:
            chosen["fold"] = fold
        if "tuner/epochs" in values:
            chosen["epochs"] = values["tuner/epochs"]
        name = f"fold_{fold.replace('/', '_of_')}" if fold else "run"
        folder = self.folder / trial_id
        try:
            config, sources = self.plan.config(chosen)
        except InputError as error:
            return RunResult(FAILED, {}, str(error))
        run_dir = str(folder / f"{name}_seed_{seed}")
        config = dataclasses.replace(config, run_dir=run_dir)
        request = RunRequest(
            config,
            sources,
            self.plan.bounds,
            self.plan.trained,
            self._divisor(values),
        )
        outcome = self.worker.run(request, folder / "output.log")
        outcome = self._checked(outcome)
        return dataclasses.replace(outcome, config=outcome.config or config)

    def _divisor(self, values: Mapping[str, Any]) -> int:
        halving = self.plan.halving
        return halving.rungs[values.get(NEXT_RUNG, 0)] if halving else 1

    def _rung(self, row: Row, outcome: RunResult, rung: int) -> Row:
        """Return the columns of a rung, and the seconds of all up to it."""
        before: Row = {"seconds": 0.0, **dict.fromkeys(RUNGS, 0)}
        for one in self.results.read():
            if one["trial"] == row["trial"]:
                before = one
        # Nothing is known of the epochs of a run that failed.
        numbers = (0, outcome.epochs, outcome.all_epochs)
        found = {
            name: max(before[name], number)
            for name, number in zip(RUNGS, numbers, strict=True)
        }
        seconds = round(before["seconds"] + outcome.seconds, 3)
        return {**found, RUNG: rung, "seconds": seconds}

    def _checked(self, outcome: RunResult) -> RunResult:
        """Mark a run as failed if an objective is missing or not finite."""
        measured = outcome.measured
        needed = [objective.name for objective in self.plan.objectives]
        missing = [name for name in needed if name not in measured]
        infinite = {k: v for k, v in measured.items() if not isfinite(v)}
        wrong = [
            f"its {name} is {infinite[name]}"
            for name in self.plan.decisive
            if name in infinite
        ]
        if outcome.status in (COMPLETE, RESTING) and missing:
            wrong = [f"a run of this data set has no {', '.join(missing)}"]
        if not wrong:
            return outcome
        known = {k: v for k, v in measured.items() if k not in infinite}
        return dataclasses.replace(
            outcome, status=FAILED, measured=known, note="; ".join(wrong)
        )

    def _row(self, point, outcome: RunResult, fold: str, seed: int) -> Row:
        config, measured = outcome.config, outcome.measured
        columns = self.plan.columns.items()
        return {
            **{column: measured[n] for n, column in columns if n in measured},
            **self.plan.space.chosen(point),
            "seed": seed,
            "fold": fold,
            "dataset": config.dataset if config else "",
            "experiment": self.plan.experiment,
            "status": outcome.status,
            # A run that was finished before is only read.
            "seconds": round(
                max(outcome.seconds, measured.get("seconds", 0.0)), 3
            ),
            "note": outcome.note,
            "command": command_line(config) if config else "",
        }

    def _scores(self, rows: Sequence[Row]) -> dict[str, list[float]]:
        return {
            f"{row.get('fold', '')} {row['seed']}": self.plan.scores(row)
            for row in rows
        }

    def _others(self) -> list[dict[str, list[float]]]:
        """Return the scores of the trials that have run on all instances."""
        whole = len(self.plan.instances())
        return [
            self._scores(rows)
            for rows in complete_groups(self.results.read(), ["trial"])
            if len(rows) == whole
        ]


def _equal(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Tell whether values are the same but for keras-tuner's protocol.

    It transmits numbers in single precision.
    """
    return some.keys() == others.keys() and all(
        isclose(value, others[name], rel_tol=1e-6)
        if isinstance(value, float)
        else value == others[name]
        for name, value in some.items()
    )
