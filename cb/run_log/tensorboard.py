"""TensorBoard as a sink: event files in a folder for each part."""

import os
import pathlib

import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.plugins.hparams import api as hparams
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from cb.run_log import REGISTRY
from cb.run_log.sink import TRAIN
from cb.run_log.sink import VALIDATION
from cb.run_log.sink import Sink


@REGISTRY.register("tensorboard")
class TensorBoard(Sink):
    """Writes event files; what was logged is on disk when a method returns.

    Args:
        folder: Path, made when first written to. Each part has a folder of
            its own in it, and `"."` is the folder itself.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self._folder = pathlib.Path(folder)
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def scalars(self, step, values, part=TRAIN):
        with self._writer(part).as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def histograms(self, step, values, part=TRAIN):
        with self._writer(part).as_default(step):
            for name, value in values.items():
                tf.summary.histogram(name, value)

    def images(self, step, values, part=TRAIN):
        with self._writer(part).as_default(step):
            for name, value in values.items():
                tf.summary.image(name, value[None])

    def hyperparameters(self, values, trial="run", part=".", metrics=()):
        shown = {
            name: value if isinstance(value, int | float) else str(value)
            for name, value in values.items()
        }
        with self._writer(part).as_default():
            hparams.hparams(shown, trial_id=trial)
            if metrics:
                hparams.hparams_config(
                    hparams=[hparams.HParam(name) for name in shown],
                    metrics=[
                        hparams.Metric(name, group=VALIDATION)
                        for name in metrics
                    ],
                )

    def resume(self, position):
        """Make TensorBoard ignore events after the checkpoint's step."""
        for folder in self._folder.glob("*/"):
            writer = EventFileWriter(str(folder), filename_suffix=".restart")
            log = SessionLog(status=SessionLog.START)
            # Twice: the first in a folder does not count as a restart.
            for _ in range(2):
                writer.add_event(
                    Event(step=position["step"] + 1, session_log=log)
                )
            writer.close()

    def close(self):
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, part: str) -> tf.summary.SummaryWriter:
        if part not in self._writers:
            self._writers[part] = tf.summary.create_file_writer(
                str(self._folder / part)
            )
        return self._writers[part]
