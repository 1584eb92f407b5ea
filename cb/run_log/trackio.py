"""Trackio as a sink: a database in the user's home, or in `TRACKIO_DIR`."""

from typing import Any

import trackio

from cb.run_log import REGISTRY
from cb.run_log.sink import TEST
from cb.run_log.sink import TRAIN
from cb.run_log.sink import Sink
from cb.run_log.sink import named
from cb.runs.directory import RunDirectory


@REGISTRY.register("trackio")
class Trackio(Sink):
    """Logs to a run of Trackio, which a resumed training continues.

    Steps that a resumed training repeats are there twice, with equal values.
    What was logged is in the database half a second later.

    Args:
        run: `RunDirectory`; the name of the run is its name and its id.
        project: String.
    """

    def __init__(self, run: RunDirectory, project: str = "cb"):
        self._directory = run
        self._project = project
        self._config: dict[str, Any] = {}
        self._opened: Any = None

    def scalars(self, step, values, part=TRAIN):
        if self._opened is None:
            path = self._directory.path
            self._opened = trackio.init(
                project=self._project,
                name=f"{path.name}_{self._directory.tracker_id()}",
                config=self._config,
                resume="allow",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )
        self._opened.log(named(values, part), step)

    def histograms(self, step, values, part=TRAIN):
        shown = {name: trackio.Histogram(it) for name, it in values.items()}
        self.scalars(step, shown, part)

    def images(self, step, values, part=TRAIN):
        shown = {name: trackio.Image(it) for name, it in values.items()}
        self.scalars(step, shown, part)

    def hyperparameters(
        self, values, trial=None, part=".", metrics=(), first=(), command=""
    ):
        config = {**values, "command": command}
        if config != self._config:
            # It is written with the first values of an open run.
            self.close()
            self._config = config

    def results(self, step, values):
        self.scalars(step, values, TEST)

    def close(self):
        if self._opened is not None:
            self._opened.finish()
        self._opened = None
