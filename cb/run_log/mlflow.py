"""MLflow as a sink; by default a database in the folder of the process."""

import contextlib
import re
import time
from collections.abc import Iterator

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.entities import Param
from mlflow.entities import RunTag
from mlflow.exceptions import MlflowException

from cb.errors import RunError
from cb.errors import one_line
from cb.run_log import REGISTRY
from cb.run_log.sink import TEST
from cb.run_log.sink import TRAIN
from cb.run_log.sink import Sink
from cb.run_log.sink import named
from cb.runs.directory import RunDirectory

# The tag by which a resumed training finds its run.
TAG = "cb.run"
# Limits of MLflow.
BATCH, LETTERS = 1000, 6000
_OTHERS = re.compile(r"[^\w\-. /]")


@REGISTRY.register("mlflow")
class Mlflow(Sink):
    """Logs to a run of MLflow, which a resumed training continues.

    MLflow has no histograms. Steps that a resumed training repeats are there
    twice, with equal values.

    Args:
        run: `RunDirectory`, whose name the run has.
        project: String, the name of the experiment.

    Raises:
        RunError: Where MLflow refuses.
    """

    def __init__(self, run: RunDirectory, project: str = "cb"):
        self._directory = run
        self._project = project
        self._client = MlflowClient()
        self._id = ""
        self._complete = False

    def scalars(self, step, values, part=TRAIN):
        now = int(1000 * time.time())
        metrics = [
            Metric(_OTHERS.sub("_", name), float(value), now, step)
            for name, value in named(values, part).items()
        ]
        with self._run() as run:
            for start in range(0, len(metrics), BATCH):
                self._client.log_batch(run, metrics[start : start + BATCH])

    def images(self, step, values, part=TRAIN):
        with self._run() as run:
            for name, image in named(values, part).items():
                file = f"{_OTHERS.sub('_', name)}/{step}.png"
                self._client.log_image(run, image, file)

    def hyperparameters(
        self, values, trial=None, part=".", metrics=(), first=(), command=""
    ):
        texts = {name: str(value)[:LETTERS] for name, value in values.items()}
        with self._run() as run:
            before = self._client.get_run(run).data.params
            new = [Param(*it) for it in texts.items() if it[0] not in before]
            # A parameter cannot change: more epochs of the same run are a tag.
            changed = {k: v for k, v in texts.items() if before.get(k, v) != v}
            tags = {**changed, "command": command[:LETTERS]}
            tags = [RunTag(*item) for item in tags.items()]
            self._client.log_batch(run, params=new, tags=tags)

    def results(self, step, values):
        self.scalars(step, values, TEST)
        self._complete = True

    def close(self):
        if self._id:
            with self._run() as run:
                status = "FINISHED" if self._complete else "KILLED"
                self._client.set_terminated(run, status)
        self._id = ""

    @contextlib.contextmanager
    def _run(self) -> Iterator[str]:
        """Give the id of the run, to be found or made; MLflow may refuse."""
        try:
            if not self._id:
                self._id = self._found()
            yield self._id
        except MlflowException as error:
            raise RunError(
                "MLflow has refused what was logged; run the same command "
                f"again to resume. Received: {one_line(error)}"
            ) from error

    def _found(self) -> str:
        client, name = self._client, self._directory.tracker_id()
        experiment = client.get_experiment_by_name(self._project)
        if experiment is None:
            place = client.create_experiment(self._project)
        else:
            place = experiment.experiment_id
        for run in client.search_runs([place], f"tags.`{TAG}` = '{name}'"):
            client.update_run(run.info.run_id, "RUNNING")
            return run.info.run_id
        run = client.create_run(
            place, tags={TAG: name}, run_name=self._directory.path.name
        )
        return run.info.run_id
