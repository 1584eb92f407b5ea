"""TensorBoard as a sink: event files in a folder for each part."""

import os
import pathlib
from typing import Any

import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from cb.run_log import REGISTRY
from cb.run_log.sink import TEST
from cb.run_log.sink import TRAIN
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
        self._write(scalar_pb, step, values, part)

    def histograms(self, step, values, part=TRAIN):
        self._write(histogram_pb, step, values, part)

    def images(self, step, values, part=TRAIN):
        with self._writer(part).as_default(step):
            for name, value in values.items():
                tf.summary.image(name, value[None])

    def hyperparameters(
        self, values, trial=None, part=".", metrics=(), first=(), command=""
    ):
        shown = {
            name: value if isinstance(value, int | float) else _text(value)
            for name, value in values.items()
        }
        with self._writer(part).as_default():
            # Runs that share a name would be averaged.
            hparams.hparams(
                shown, trial_id=trial or str(self._folder.resolve())
            )
            if command:
                # Markdown of code.
                tf.summary.text("command", f"    {_text(command)}", step=0)
            if metrics:
                parameters = [hparams.HParam(name) for name in shown]
                scores = [
                    hparams.Metric(name, of, display_name=f"{of} {name}")
                    for of, name in metrics
                ]
                config = hparams.hparams_config_pb(parameters, scores)
                _put_first(config, first)
                text = config.SerializeToString()
                tf.summary.experimental.write_raw_pb(text, 0)

    def results(self, step, values):
        self.scalars(step, values, TEST)

    def resume(self, position):
        """Make TensorBoard ignore events after the checkpoint's step."""
        for folder in self._folder.glob("*/"):
            writer = EventFileWriter(str(folder), filename_suffix=".restart")
            log = SessionLog(status=SessionLog.START)
            event = Event(step=position["step"] + 1, session_log=log)
            # Twice: the first in a folder does not count as a restart.
            writer.add_event(event)
            writer.add_event(event)
            writer.close()

    def close(self):
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write(self, summary, step, values, part) -> None:
        """Write all in one event: operations for each cost a second a run."""
        event = Summary()
        for name, value in values.items():
            event.MergeFrom(summary(name, value))
        with self._writer(part).as_default(step):
            tf.summary.experimental.write_raw_pb(event.SerializeToString())

    def _writer(self, part: str) -> tf.summary.SummaryWriter:
        if part not in self._writers:
            self._writers[part] = tf.summary.create_file_writer(
                str(self._folder / part)
            )
        return self._writers[part]


def _put_first(config, first) -> None:
    """Mark columns of the HParams tab, which sorts by mark and then name."""
    plugin = config.value[0].metadata.plugin_data
    data = HParamsPluginData.FromString(plugin.content)
    for column in data.experiment.hparam_infos:
        column.differs = column.name in first
    plugin.content = data.SerializeToString()


def _text(value: Any) -> str:
    """Return a value as text in UTF-8, which names of files need not be."""
    return str(value).encode("utf-8", "backslashreplace").decode()
