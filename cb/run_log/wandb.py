"""Weights & Biases as a sink; offline with `WANDB_MODE=offline`."""

from typing import Any

import wandb

from cb.errors import InputError
from cb.errors import one_line
from cb.run_log import REGISTRY
from cb.run_log.sink import TEST
from cb.run_log.sink import TRAIN
from cb.run_log.sink import Sink
from cb.run_log.sink import named
from cb.runs.directory import RunDirectory

# The axis of all charts. Its own counter refuses a step that was logged before
# a resumed run repeats it.
STEP = "step"


@REGISTRY.register("wandb")
class Wandb(Sink):
    """Logs to a run of Weights & Biases, which a resumed training continues.

    Steps that a resumed training repeats are there twice, with equal values.

    Args:
        run: `RunDirectory`, whose name the run has. Files of an offline run
            are written to `wandb/` in it.
        project: String.

    Raises:
        InputError: When first written to, if Weights & Biases refuses.
    """

    def __init__(self, run: RunDirectory, project: str = "cb"):
        self._directory = run
        self._project = project
        self._opened: Any = None
        self._complete = False

    def scalars(self, step, values, part=TRAIN):
        self._run().log({STEP: step, **named(values, part)})

    def histograms(self, step, values, part=TRAIN):
        shown = {name: wandb.Histogram(it) for name, it in values.items()}
        self.scalars(step, shown, part)

    def images(self, step, values, part=TRAIN):
        shown = {name: wandb.Image(it) for name, it in values.items()}
        self.scalars(step, shown, part)

    def hyperparameters(
        self, values, trial=None, part=".", metrics=(), first=(), command=""
    ):
        given = {**values, "command": command}
        self._run().config.update(given, allow_val_change=True)

    def results(self, step, values):
        self.scalars(step, values, TEST)
        self._complete = True

    def close(self):
        if self._opened is not None:
            self._opened.finish(exit_code=0 if self._complete else 1)
        self._opened = None

    def _run(self) -> Any:
        if self._opened is None:
            try:
                self._opened = wandb.init(
                    project=self._project,
                    id=self._directory.tracker_id(),
                    name=self._directory.path.name,
                    dir=self._directory.path,
                    resume="allow",
                    settings=wandb.Settings(console="off"),
                )
            except wandb.errors.Error as error:
                raise InputError(
                    "Weights & Biases must be reachable and logged in to, or "
                    "WANDB_MODE=offline be set. Received: "
                    f"{one_line(error)}"
                ) from error
            self._opened.define_metric("*", step_metric=STEP)
        return self._opened
