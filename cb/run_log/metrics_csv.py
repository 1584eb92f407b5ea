"""The numbers of a run as rows of `metrics.csv`."""

import pathlib

from cb.run_log.sink import TRAIN
from cb.run_log.sink import Sink
from cb.run_log.sink import named
from cb.runs.long_csv import METRICS_HEADER
from cb.runs.long_csv import LongCsv


class MetricsCsv(Sink):
    """Appends every number as a row `step,epoch,name,value`.

    Names of parts other than `"train"` have the part as a prefix. Rows hold
    nothing that differs when a run is repeated, such as times of day.

    Args:
        file: Path.
        updates_per_epoch: Integer, optimizer steps in an epoch.
    """

    def __init__(self, file: pathlib.Path, updates_per_epoch: int):
        self._csv = LongCsv(file, METRICS_HEADER)
        self._updates_per_epoch = updates_per_epoch

    def scalars(self, step, values, part=TRAIN):
        epoch = -(-step // self._updates_per_epoch)
        rows = named(values, part).items()
        self._csv.append((step, epoch, *row) for row in rows)

    def position(self):
        return {"metrics_size": self._csv.size()}

    def resume(self, position):
        self._csv.cut(position["metrics_size"])
