"""Run folders as a training leaves them, without the training."""

import dataclasses

import numpy as np
import pytest

from cb.config import Config
from cb.runs.directory import RunDirectory
from cb.runs.long_csv import EVALUATION_HEADER
from cb.runs.long_csv import METRICS_HEADER
from cb.runs.long_csv import LongCsv

UPDATES, EPOCHS, DROP = 25, 8, 4
INTERCEPT, SLOPE = 0.5, 2.0


def epoch_rows():
    for epoch in range(1, EPOCHS + 1):
        step = epoch * UPDATES
        yield step, epoch, "loss", 1.0 / epoch
        yield step, epoch, "accuracy", 1 - 0.5 / epoch
        yield step, epoch, "top_5_accuracy", 1 - 0.1 / epoch
        yield step, epoch, "learning_rate", 0.1 if epoch < DROP else 0.01
        yield step, epoch, "validation/loss", 1.5 / epoch
        yield step, epoch, "validation/accuracy", 1 - 0.6 / epoch
        yield step, epoch, "validation/top_5_accuracy", 1 - 0.2 / epoch


def distance_rows():
    """A line in the logarithm until the learning rate drops, then flat."""
    for step in (1, 2, 4, 8, 16, 32, 64, 128, 192):
        reached = min(step, DROP * UPDATES - 1)
        distance = INTERCEPT + SLOPE * np.log(reached)
        epoch = -(-step // UPDATES)
        yield step, epoch, "weight_distance", distance
        yield step, epoch, "weight_distance/stem", distance / 2
        yield step, epoch, "weight_distance/logits", distance / 4


@pytest.fixture
def make_run(tmp_path):
    """Return a function that writes a run folder and returns its path."""

    def make(name, rows=None, scores=(), **config):
        folder = RunDirectory(str(tmp_path / name))
        config = dataclasses.replace(Config(), **config)
        folder.write_config(config, {})
        if rows is None:
            rows = [*epoch_rows(), *distance_rows()]
        if rows:
            LongCsv(folder.metrics_file, METRICS_HEADER).append(rows)
        if scores:
            LongCsv(folder.evaluation_file, EVALUATION_HEADER).append(scores)
        return str(folder.path)

    return make
