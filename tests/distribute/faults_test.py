"""What goes wrong on several machines is one clear line and an exit code."""

import shutil
import signal
import socket

import numpy as np
import pytest
import tensorflow as tf

from cb.distribute import faults
from cb.errors import WorkerLost
from cb.launch import free_ports
from tests.workers import alone
from tests.workers import arrays
from tests.workers import cluster
from tests.workers import finish
from tests.workers import pass_steps
from tests.workers import worker_flags

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


TABLE = [
    *FLAGS,
    "--dataset=csv(path='data.csv', label='kind')",
    "--batch_size=10",
]


def write_table(folder, value):
    """Write data that differ in one value."""
    folder.mkdir()
    rows = [f"{row / 7},{value},{'ab'[row % 2]}" for row in range(40)]
    text = "\n".join(["one,two,kind", *rows])
    (folder / "data.csv").write_text(text)


def address(server):
    return f"127.0.0.1:{server.getsockname()[1]}"


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
    assert "Stopped by SIGTERM" in line
    with alone(flags, tmp_path) as worker:
        code, printed = worker.finish()
    assert code == 0, printed
    assert "Resuming after epoch 1, batch" in printed
    assert arrays(tmp_path / "run") == arrays(whole)
    metrics = tmp_path / "run" / "metrics.csv"
    assert metrics.read_bytes() == (whole / "metrics.csv").read_bytes()


def test_a_frozen_worker_stops_the_others(tmp_path):
    with cluster(2, [*FLAGS, "--epochs=400"], tmp_path) as workers:
        pass_steps(workers[0], 5)
        workers[1].send(signal.SIGSTOP)
        line = complaint(*workers[0].finish(), 69)
    assert "another worker has exited or cannot be reached" in line
    assert "/task:1" in line
    assert "File" not in line


def test_a_worker_that_never_comes_is_named(tmp_path):
    flags = [*FLAGS, "--worker_timeout=3"]
    with cluster(2, flags, tmp_path) as workers:
        workers[1].kill()
        line = complaint(*workers[0].finish(), 69)
    assert "waited 3 s" in line
    assert "worker 1 (127.0.0.1:" in line
    assert not (tmp_path / "worker_0" / "run").exists()


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_comes_and_goes_does_not_keep_the_others(tmp_path, index):
    # What listens there will never join.
    with socket.create_server(("127.0.0.1", 0)) as other:
        hosts = [address(other)]
        hosts.insert(index, f"127.0.0.1:{free_ports(1)[0]}")
        flags = [*FLAGS, *worker_flags(hosts, index), "--worker_timeout=3"]
        with alone(flags, tmp_path) as worker:
            line = complaint(*worker.finish(), 69)
    assert f"Worker {index} could not join the others" in line


def test_told_to_stop_while_it_waits_for_others_it_does(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        own, never = (f"127.0.0.1:{port}" for port in free_ports(2))
        flags = worker_flags([own, address(other), never], 0)
        with alone([*FLAGS, *flags], tmp_path) as worker:
            # It looks for the others now.
            other.accept()[0].close()
            worker.send(signal.SIGTERM)
            line = complaint(*worker.finish(), 75)
    assert "Stopped by SIGTERM before training began" in line


def test_a_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host = address(taken)
        with alone([*FLAGS, *worker_flags([host], 0)], tmp_path) as worker:
            line = complaint(*worker.finish(), 2)
    assert f"cannot listen on {host}" in line


@pytest.mark.parametrize(
    "rates, values, difference",
    [
        ((0.1, 0.2), (1.5, 1.5), "learning_rate: 0.1"),
        ((0.1, 0.1), (1.5, 1.6), "data: "),
    ],
    ids=["configurations", "data"],
)
def test_workers_that_differ_are_refused(tmp_path, rates, values, difference):
    for index, value in enumerate(values):
        write_table(tmp_path / f"worker_{index}", value)
    extra = [[f"--learning_rate={rate}"] for rate in rates]
    with cluster(2, TABLE, tmp_path, extra=extra) as workers:
        codes, outputs = finish(workers)
    for code, printed in zip(codes, outputs, strict=True):
        line = complaint(code, printed, 2)
        assert f"worker 0 and worker 1 differ in {difference}" in line
    assert not (tmp_path / "worker_0" / "run").exists()


def test_data_that_only_the_chief_has_end_all(tmp_path):
    write_table(tmp_path / "worker_0", 1.5)
    with cluster(2, TABLE, tmp_path) as workers:
        codes, outputs = finish(workers)
    assert "another worker has exited" in complaint(codes[0], outputs[0], 69)
    assert "'data.csv'" in complaint(codes[1], outputs[1], 2)
    assert not (tmp_path / "worker_0" / "run").exists()


def test_a_full_disk_of_the_chief_keeps_the_last_checkpoint(
    tmp_path, convolutional, undisturbed
):
    run = tmp_path / "worker_0" / "run"
    shutil.copytree(undisturbed, run)
    # The kernel says of it what it says of a full disk.
    (run / "checkpoints" / "..next.npz.part").symlink_to("/dev/full")
    with cluster(2, [*convolutional, "--epochs=7"], tmp_path) as workers:
        codes, outputs = finish(workers)
    line = complaint(codes[0], outputs[0], 1)
    assert "No space left on device" in line
    assert "another worker has exited" in complaint(codes[1], outputs[1], 69)
    assert arrays(run) == arrays(undisturbed)
    assert not (tmp_path / "worker_1" / "run").exists()


def test_a_run_folder_of_the_chief_that_disappears_ends_all(tmp_path):
    run = tmp_path / "worker_0" / "run"
    with cluster(2, [*FLAGS, "--epochs=400"], tmp_path) as workers:
        pass_steps(workers[0], 5)
        shutil.move(run, tmp_path / "elsewhere")
        codes, outputs = finish(workers)
    line = complaint(codes[0], outputs[0], 1)
    assert "run folder 'run' has disappeared" in line
    assert "another worker has exited" in complaint(codes[1], outputs[1], 69)
    assert not run.exists()


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


def test_a_loss_that_is_not_finite_ends_all(tmp_path):
    flags = [*FLAGS, "--optimizer=sgd", "--learning_rate=1e30"]
    with cluster(2, flags, tmp_path) as workers:
        codes, outputs = finish(workers)
    lines = [
        complaint(code, printed, 1)
        for code, printed in zip(codes, outputs, strict=True)
    ]
    assert "The loss is no longer finite at step" in lines[0]
    assert lines[0] == lines[1]


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
    monkeypatch.setattr(
        faults.collectives, "rank_and_size", lambda strategy: (0, 2)
    )
    with pytest.raises(expected):
        with faults.reported_loss(None):
            raise error(None, None, "Failed to launch a kernel on the GPU")


def test_an_internal_error_of_a_collective_is_the_loss_of_another(monkeypatch):
    monkeypatch.setattr(
        faults.collectives, "rank_and_size", lambda strategy: (0, 2)
    )
    with pytest.raises(WorkerLost, match="another worker has exited"):
        with faults.reported_loss(None):
            raise tf.errors.InternalError(
                None, None, "Collective ops is aborted by: connection reset"
            )
