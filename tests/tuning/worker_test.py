import errno
import multiprocessing
import os
import signal

import pytest
import tensorflow as tf

from cb.config import Config
from cb.errors import Locked
from cb.errors import Preempted
from cb.tuning import trial
from cb.tuning import worker
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
    for one in started:
        one.stop()


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
    started = start()
    crashing = RunRequest(
        Config(run_dir=str(tmp_path / "one"), model=str(file)), {}, {}
    )
    outcome = started.run(crashing, tmp_path / "log")
    assert outcome.status == "failed"
    assert outcome.note == "its process ended with exit code 3"
    outcome = started.run(task(tmp_path / "two", epochs=1), tmp_path / "log")
    assert outcome.status == "complete"
    assert 0.0 <= outcome.measured["val_error"] <= 1.0
    assert "epoch 1/1" in (tmp_path / "log").read_text()


def killed_by(number):
    """Return a worker whose process kills itself."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    found = Worker(Limits())
    found._process = context.Process(target=signal.raise_signal, args=(number,))
    found._pipe = ours
    found._process.start()
    theirs.close()
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_is_told_to_stop_is_no_failure(tmp_path, number):
    with pytest.raises(Preempted, match=f"stopped by {number.name}"):
        killed_by(number).run(None, tmp_path / "log")


def test_a_process_that_the_system_kills_is_one_of_memory(tmp_path):
    outcome = killed_by(signal.SIGKILL).run(None, tmp_path / "log")
    assert outcome.status == "failed"
    assert "runs out of memory" in outcome.note


@pytest.mark.parametrize(
    "error, expected",
    [
        (Preempted("Stopped."), Preempted),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "file"), OSError),
        (
            tf.errors.ResourceExhaustedError(
                None, None, f"events.v2; {os.strerror(errno.ENOSPC)}"
            ),
            OSError,
        ),
    ],
)
def test_a_machine_that_refuses_is_no_failure(monkeypatch, error, expected):
    def perform(request):
        raise error

    monkeypatch.setattr(trial, "perform", perform)
    with pytest.raises(expected):
        worker.attempt(None)


@pytest.mark.parametrize(
    "error, note",
    [
        (MemoryError(), "MemoryError"),
        (
            tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
            "OOM when allocating",
        ),
        (ValueError("negative\n dimension"), "negative dimension"),
    ],
)
def test_what_a_run_cannot_do_is_its_failure(monkeypatch, capsys, error, note):
    def perform(request):
        raise error

    monkeypatch.setattr(trial, "perform", perform)
    outcome = worker.attempt(None)
    assert (outcome.status, outcome.note) == ("failed", note)


def test_a_folder_in_which_another_still_trains_is_waited_for(
    monkeypatch, capsys
):
    errors = [Locked("Another process is training."), None]

    def perform(request):
        if (error := errors.pop(0)) is not None:
            raise error
        return "done"

    monkeypatch.setattr(trial, "perform", perform)
    monkeypatch.setattr(worker, "WAITING_SECONDS", 0.0)
    assert worker.attempt(None) == "done"
    assert "Waiting. Another process" in capsys.readouterr().out
