"""What goes wrong on several machines is one clear line and an exit code."""

import shutil
import signal
import socket

import numpy as np
import pytest
import tensorflow as tf

from cb.distribute import faults
from cb.errors import WorkerLost
from tests.workers import alone
from tests.workers import arrays
from tests.workers import cluster
from tests.workers import finish
from tests.workers import pass_steps

FLAGS = [
    "--model=mlp(units=(16, 16))",
    "--reallocation=set(every=10, end=1.0)",
    "--batch_size=100",
    "--epochs=4",
    "--print_every=1",
    "--run_dir=run",
]


def complaint(code, printed, expected):
    """Check an exit code and that there is one line; return it."""
    assert code == expected, printed
    assert "Traceback" not in printed
    return printed.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Train without any disturbance on one device, return the run folder."""
    folder = tmp_path_factory.mktemp("whole")
    with alone([*FLAGS, "--strategy=none"], folder) as worker:
        assert worker.finish()[0] == 0
    return folder / "run"


def test_told_to_stop_it_saves_and_goes_on_to_the_same_bits(tmp_path, whole):
    flags = [*FLAGS, "--strategy=none", "--save_every=4ep"]
    with alone(flags, tmp_path) as worker:
        pass_steps(worker, 17)
        worker.send(signal.SIGTERM)
        line = complaint(*worker.finish(), 75)
    assert "Stopped as told" in line
    with alone(flags, tmp_path) as worker:
        code, printed = worker.finish()
    assert code == 0, printed
    assert "Going on after epoch 1, batch" in printed
    assert arrays(tmp_path / "run") == arrays(whole)
    metrics = tmp_path / "run" / "metrics.csv"
    assert metrics.read_bytes() == (whole / "metrics.csv").read_bytes()


def test_all_workers_stop_at_the_same_step(tmp_path):
    # So long that it cannot end before the signal is there.
    with cluster(2, [*FLAGS, "--epochs=400"], tmp_path) as workers:
        pass_steps(workers[0], 5)
        # Whoever is told, the chief saves and all stop.
        workers[1].send(signal.SIGTERM)
        codes, outputs = finish(workers)
    lines = [
        complaint(code, printed, 75)
        for code, printed in zip(codes, outputs, strict=True)
    ]
    assert "Stopped as told" in lines[0]
    assert lines[0] == lines[1]


def test_a_frozen_worker_stops_the_others(tmp_path):
    with cluster(2, [*FLAGS, "--epochs=400"], tmp_path) as workers:
        pass_steps(workers[0], 5)
        workers[1].send(signal.SIGSTOP)
        line = complaint(*workers[0].finish(), 69)
    assert "another worker has gone or cannot be reached" in line


def test_a_worker_that_never_comes_is_named(tmp_path):
    flags = [*FLAGS, "--worker_timeout=3"]
    with cluster(2, flags, tmp_path) as workers:
        workers[1].kill()
        line = complaint(*workers[0].finish(), 69)
    assert "waited 3 s" in line
    assert "worker 1 (127.0.0.1:" in line
    assert not (tmp_path / "run").exists()


def test_a_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = [
            *FLAGS,
            "--strategy=multi_worker",
            f"--worker_hosts={address}",
            "--worker_index=0",
        ]
        with alone(flags, tmp_path) as worker:
            line = complaint(*worker.finish(), 2)
    assert f"cannot listen on {address}" in line


def test_workers_with_other_configurations_are_refused(tmp_path):
    extra = [["--learning_rate=0.1"], ["--learning_rate=0.2"]]
    with cluster(2, FLAGS, tmp_path, extra=extra) as workers:
        codes, outputs = finish(workers)
    for code, printed in zip(codes, outputs, strict=True):
        line = complaint(code, printed, 2)
        assert "worker 0 and worker 1 differ in learning_rate: 0.1" in line
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_disappears_ends_the_run(tmp_path):
    with alone([*FLAGS, "--strategy=none"], tmp_path) as worker:
        pass_steps(worker, 5)
        shutil.move(tmp_path / "run", tmp_path / "elsewhere")
        line = complaint(*worker.finish(), 1)
    assert "run folder 'run' has disappeared" in line
    assert not (tmp_path / "run").exists()
    shutil.move(tmp_path / "elsewhere", tmp_path / "run")
    with alone([*FLAGS, "--strategy=none"], tmp_path) as worker:
        assert worker.finish()[0] == 0


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    # The loss is still finite when the first update overflows.
    flags = [
        *FLAGS,
        "--strategy=none",
        "--optimizer=sgd",
        "--learning_rate=1e38",
        "--save_every=1",
    ]
    with alone(flags, tmp_path) as worker:
        line = complaint(*worker.finish(), 1)
    assert "no longer finite" in line
    with np.load(tmp_path / "run" / "checkpoints" / "last.npz") as file:
        for name in file.files:
            assert np.isfinite(file[name]).all(), name


@pytest.mark.parametrize(
    "error, expected",
    [
        (tf.errors.InternalError, tf.errors.InternalError),
        (tf.errors.UnavailableError, WorkerLost),
    ],
)
def test_a_failure_of_its_own_is_not_that_of_another(
    error, expected, monkeypatch
):
    monkeypatch.setattr(faults.exchange, "position", lambda strategy: (0, 2))
    with pytest.raises(expected):
        with faults.reported_loss(None):
            raise error(None, None, "Failed to launch a kernel on the GPU")


def test_an_internal_error_of_a_collective_is_the_loss_of_another(monkeypatch):
    monkeypatch.setattr(faults.exchange, "position", lambda strategy: (0, 2))
    with pytest.raises(WorkerLost, match="another worker has gone"):
        with faults.reported_loss(None):
            raise tf.errors.InternalError(
                None, None, "Collective ops is aborted by: connection reset"
            )
