import pytest

from cb.config import Config
from cb.tuning.run_request import RunRequest
from cb.tuning.worker import Limits
from cb.tuning.worker import Worker

ENDLESS = {"epochs": 100000, "save_every": "100000ep"}
CRASHING = """
import os

from cb.models import REGISTRY


@REGISTRY.register("crashing")
def crashing(input_shape, num_classes):
    os._exit(3)
"""


def task(folder, **fields):
    config = Config(run_dir=str(folder), model="mlp(units=(4,))", **fields)
    return RunRequest(config, {}, {})


@pytest.fixture
def start():
    started = []

    def start(**limits):
        started.append(Worker(Limits(**limits)))
        return started[-1]

    yield start
    for worker in started:
        worker.stop()


def test_a_run_that_takes_too_long_is_ended(start, tmp_path):
    outcome = start(seconds=3.0).run(
        task(tmp_path / "run", **ENDLESS), tmp_path / "log"
    )
    assert outcome.status == "failed"
    assert outcome.note == "it took longer than 3 s"


def test_a_run_that_uses_too_much_memory_is_ended(start, tmp_path):
    outcome = start(gigabytes=0.05).run(
        task(tmp_path / "run", **ENDLESS), tmp_path / "log"
    )
    assert outcome.status == "failed"
    assert outcome.note == "it used more than 0.05 GB of memory"


def test_a_run_after_one_that_crashed_completes(start, tmp_path):
    file = tmp_path / "crashing.py"
    file.write_text(CRASHING)
    worker = start()
    crashing = RunRequest(
        Config(run_dir=str(tmp_path / "one"), model=str(file)), {}, {}
    )
    outcome = worker.run(crashing, tmp_path / "log")
    assert outcome.status == "failed"
    assert outcome.note == "its process ended with exit code 3"
    outcome = worker.run(task(tmp_path / "two", epochs=1), tmp_path / "log")
    assert outcome.status == "complete"
    assert 0.0 <= outcome.measured["val_error"] <= 1.0
    assert "epoch 1/1" in (tmp_path / "log").read_text()
