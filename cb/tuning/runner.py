"""Runs of a trial on its folds and seeds, raced."""

import dataclasses
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from cb.config import Config
from cb.errors import InputError
from cb.tuning import racing
from cb.tuning.command_line import command_line
from cb.tuning.plan import SweepPlan
from cb.tuning.results import Results
from cb.tuning.results import Row
from cb.tuning.results import complete_groups
from cb.tuning.run_request import COMPLETE
from cb.tuning.run_request import FAILED
from cb.tuning.run_request import OUTRACED
from cb.tuning.run_request import RunRequest
from cb.tuning.run_request import RunResult
from cb.tuning.worker import Worker


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
            List of the rows appended to the results.
        """
        point, config_id = self._point(trial_id, values)
        rows: list[Row] = []
        instances = self.plan.instances()
        for number, (fold, seed) in enumerate(instances, start=1):
            outcome = self._outcome(trial_id, values, point, fold, seed)
            row = self._row(point, outcome, fold, seed)
            row |= {"config_id": config_id, "trial": trial_id}
            rows.append(row)
            if outcome.status != COMPLETE:
                break
            if number < len(instances) and racing.is_due(number):
                if racing.loses(self._scores(rows), self._others()):
                    row["status"] = OUTRACED
                    break
        self.results.append(rows)
        return rows

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
        seed = self.plan.base.given.get("seed", Config.seed)
        return dict(values), f"{seed}-{trial_id}"

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
            config, sources, self.plan.bounds, self.plan.trained
        )
        outcome = self.worker.run(request, folder / "output.log")
        outcome = self._checked(outcome)
        return dataclasses.replace(outcome, config=outcome.config or config)

    def _checked(self, outcome: RunResult) -> RunResult:
        """Mark a run as failed if it lacks an objective."""
        needed = [objective.name for objective in self.plan.objectives]
        missing = [name for name in needed if name not in outcome.measured]
        if outcome.status != COMPLETE or not missing:
            return outcome
        note = f"a run of this data set has no {', '.join(missing)}"
        return dataclasses.replace(outcome, status=FAILED, note=note)

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
            "seconds": round(outcome.seconds, 3),
            "note": outcome.note,
            "command": command_line(config) if config else "",
        }

    def _scores(self, rows: Sequence[Row]) -> dict[str, list[float]]:
        columns = self.plan.columns
        return {
            f"{row.get('fold', '')} {row['seed']}": [
                objective.minimized(row[columns[objective.name]])
                for objective in self.plan.objectives
            ]
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
