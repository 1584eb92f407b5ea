"""The state of a search in one file, and what is left to do after a kill."""

import copy
import json
import pathlib
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial
from keras_tuner.engine.trial import TrialStatus

from cb.errors import InputError
from cb.errors import one_line
from cb.files import replacing
from cb.tuning.runner import NEXT_RUNG


class StoredOracle(keras_tuner.Oracle):
    """Mixin of an oracle whose whole state is one file.

    keras-tuner writes a file for the oracle and one for each trial, each of
    them in place: a process that is killed in between leaves a trial that
    nobody runs, or a file that cannot be read.

    Results are those that were recorded elsewhere. A trial without one has not
    ended: it is run again, the earliest first.
    """

    file: pathlib.Path
    recorded: Callable[[], Mapping[str, Mapping[str, float]]]
    promoted: Callable[[Collection[str], bool], tuple[str, int] | None]

    def save(self):
        """Replace the file."""
        state = {
            "oracle": self.get_state(),
            "trials": [trial.get_state() for trial in self.trials.values()],
        }
        with replacing(self.file) as opened:
            opened.write(json.dumps(state).encode())

    def _save_trial(self, trial):
        # `save`, which is called next, writes it with all others.
        pass

    def reload(self):
        """Continue from the file.

        Raises:
            InputError: If it cannot be read.
        """
        try:
            state: dict[str, Any] = json.loads(self.file.read_text("utf-8"))
            trials = [Trial.from_state(one) for one in state["trials"]]
            self.trials = {trial.trial_id: trial for trial in trials}
            self.set_state(state["oracle"])
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(
                "The state of a search must be as the sweep wrote it; without "
                "its folder the search begins anew, with the results that are "
                f"recorded. Received: {str(self.file)!r} ({one_line(error)})"
            ) from error
        recorded = self.recorded()
        self.end_order = [one for one in self.end_order if one in recorded]
        for trial_id in self.end_order:
            self.update_trial(trial_id, recorded[trial_id])
            if self.trials[trial_id].status == TrialStatus.COMPLETED:
                self.score_trial(self.trials[trial_id])
        ended = {*self.end_order}
        self._retry_queue = [
            one for one in reversed(self.start_order) if one not in ended
        ]
        self.ongoing_trials = {}

    @keras_tuner.synchronized
    def create_trial(self, tuner_id):
        """Return a new trial, or one that is taken up again.

        Args:
            tuner_id: String, the worker that asks.
        """
        waiting = tuner_id in self.ongoing_trials or self._retry_queue
        trial = None if waiting else self._promoted(tuner_id, closing=False)
        if trial is None:
            trial = super().create_trial(tuner_id)
        if trial.status == TrialStatus.STOPPED:
            trial = self._promoted(tuner_id, closing=True) or trial
        return trial

    def _promoted(self, tuner_id: str, closing: bool) -> Trial | None:
        under_way = {one.trial_id for one in self.ongoing_trials.values()}
        found = self.promoted(under_way, closing)
        if found is None:
            return None
        trial_id, rung = found
        # Until it ends again, the search knows it as it was.
        trial = copy.deepcopy(self.trials[trial_id])
        trial.status = TrialStatus.RUNNING
        trial.hyperparameters.values[NEXT_RUNG] = rung
        self.ongoing_trials[tuner_id] = trial
        self.tuner_ids.add(tuner_id)
        self.save()
        return trial

    @keras_tuner.synchronized
    def update_trial(self, trial_id, metrics, step=0):
        """Record the metrics of a trial instead of any before.

        Args:
            trial_id: String.
            metrics: Dict of metric to value.
            step: Not used.
        """
        trial = self.trials[trial_id]
        # keras-tuner would average those of a trial that was run twice.
        trial.metrics = type(trial.metrics)()
        return super().update_trial(trial_id, metrics)

    @keras_tuner.synchronized
    def end_trial(self, trial):
        """Record the end of a trial, once.

        Args:
            trial: `keras_tuner.engine.trial.Trial`.
        """
        trial.hyperparameters.values.pop(NEXT_RUNG, None)
        super().end_trial(trial)
        if self.end_order.count(trial.trial_id) > 1:
            self.end_order = [*dict.fromkeys(self.end_order)]
            # A sampler is told all results anew, and this one as it is now.
            self.set_state(self.get_state())
            self.save()


def store(
    oracle: keras_tuner.Oracle,
    file: pathlib.Path,
    recorded: Callable[[], Mapping[str, Mapping[str, float]]],
    promoted: Callable[[Collection[str], bool], tuple[str, int] | None],
) -> None:
    """Let an oracle of any class keep its state in one file.

    Args:
        oracle: `keras_tuner.Oracle`. If the file is there, it continues from
            it.
        file: Path; its folder is made if needed.
        recorded: Callable that returns a dict of each trial with a result to
            its metrics.
        promoted: Callable of the trials under way and whether no new one
            comes. It returns a trial to take up again and its rung, or
            `None`.

    Raises:
        InputError: If the file cannot be read.
    """
    kind = type(oracle)
    stored: Any = oracle
    stored.__class__ = type(kind.__name__, (StoredOracle, kind), {})
    stored.file, stored.recorded, stored.promoted = file, recorded, promoted
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        stored.reload()
    stored.save()
