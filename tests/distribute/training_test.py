"""Two machines end where one does, however often they fail on the way."""

import json
import shutil
import signal
from csv import DictReader

import numpy as np
import pytest

from tests.workers import PATIENCE_SECONDS
from tests.workers import alone
from tests.workers import arrays
from tests.workers import assert_same_files
from tests.workers import cluster
from tests.workers import finish
from tests.workers import killed_before
from tests.workers import launch
from tests.workers import pass_steps
from tests.workers import train_two
from tests.workers import wait_for

MIRRORED = "--strategy=mirrored(devices=2)"
# 200 steps.
PERCEPTRON = [
    "--model=mlp(units=(16, 16))",
    "--reallocation=rigl(every=10, end=1.0)",
    "--batch_size=50",
    "--epochs=8",
    "--run_dir=run",
]
AUTO_TUNED = [
    "--model=fnn(blocks=8, width=5)",
    "--auto_tune=auto_tune(num_samples=64, tolerance=0.3, when='before', "
    "checks=1, warm=True)",
    "--sparsity=0.2",
    "--reallocation=set(every=10)",
    "--batch_size=100",
    "--epochs=2",
    "--run_dir=run",
]


def train(folder, *flags):
    """Train in one process to the end; return the run folder."""
    folder.mkdir()
    with alone(flags, folder) as worker:
        code, printed = worker.finish()
    assert code == 0, printed
    return folder / "run"


def names(folder):
    return {file.name for file in folder.iterdir()}


def test_replicas_take_single_steps(tmp_path):
    flags = [*PERCEPTRON, "--epochs=2", MIRRORED]
    single = train(tmp_path / "single", *flags)
    several = train(tmp_path / "several", *flags, "--steps_per_execution=5")
    assert_same_files(single, several)


def test_two_workers_are_two_replicas(tmp_path, convolutional, undisturbed):
    one = train(tmp_path / "one", *convolutional, MIRRORED)
    assert_close(undisturbed, one)
    # The chief alone writes, and the other shares no files with it.
    first = undisturbed.parent
    assert names(first) == {"run", "run.worker_0.log"}
    assert names(first.parent / "worker_1") == {"run.worker_1.log"}


def test_two_workers_are_one_device_without_batch_norm(tmp_path):
    two = tmp_path / "workers"
    two.mkdir()
    launched = launch(2, PERCEPTRON, two)
    one = train(tmp_path / "one", *PERCEPTRON, "--strategy=none")
    output, errors = launched.communicate(timeout=PATIENCE_SECONDS)
    assert launched.returncode == 0, errors
    assert errors == ""
    assert names(two) == {"run", "run.worker_0.log", "run.worker_1.log"}
    # Progress is the chief's alone; the logs are each worker's own.
    assert output == (two / "run.worker_0.log").read_text()
    other = (two / "run.worker_1.log").read_text()
    assert "epoch 8/8 " in other
    assert output.count("epoch 8/8 ") == 1
    assert_close(two / "run", one)


def assert_close(one, other):
    with (
        np.load(one / "checkpoints" / "last.npz") as first,
        np.load(other / "checkpoints" / "last.npz") as second,
    ):
        assert set(first.files) == set(second.files)
        for name in first.files:
            if name.endswith("/mask"):
                np.testing.assert_array_equal(first[name], second[name])
            elif name.startswith("model/"):
                np.testing.assert_allclose(
                    first[name], second[name], rtol=0, atol=1e-5
                )
    for file in ("evaluation.csv", "metrics.csv"):
        pairs = [values(folder / file) for folder in (one, other)]
        assert pairs[0] == pytest.approx(pairs[1], abs=1e-5)


def values(file):
    with open(file, newline="") as opened:
        return {
            (row.get("step"), row["name"]): float(row["value"])
            for row in DictReader(opened)
        }


def test_auto_tune_finds_what_it_finds_in_one_process(tmp_path):
    with cluster(2, AUTO_TUNED, tmp_path / "two") as workers:
        one = train(tmp_path / "one", *AUTO_TUNED, MIRRORED)
        codes, printed = finish(workers)
    assert codes == (0, 0), printed
    two = tmp_path / "two" / "worker_0" / "run"
    found = attempts(two)
    assert found == attempts(one)
    assert len(found) > 1
    for number in range(len(found)):
        name = f"attempt_{number}"
        assert arrays(two / name) == arrays(one / name)
        for file in ("metrics.csv", "conflicting_layers.csv"):
            bits = [(run / name / file).read_bytes() for run in (one, two)]
            assert bits[0] == bits[1]
    assert names(tmp_path / "two" / "worker_1") == {"run.worker_1.log"}


def attempts(run):
    """Read the attempts without what differs when they are repeated."""
    found = json.loads((run / "attempts.json").read_text())
    return [
        {key: value for key, value in one.items() if "seconds" not in key}
        for one in found
    ]


def test_the_chief_alone_needs_the_run_that_masks_come_from(
    tmp_path, convolutional, undisturbed
):
    shutil.copytree(undisturbed, tmp_path / "worker_0" / "source")
    masks = "--reallocation=static(copy_mask_from='source:last')"
    weights = "--initialize_from=source:initial"
    run = train_two(tmp_path, [*convolutional, masks, weights, "--epochs=1"])
    before, after = arrays(undisturbed), arrays(run)
    copied = [name for name in before if name.endswith("/mask")]
    assert copied
    for name in copied:
        assert after[name] == before[name]
    assert names(tmp_path / "worker_1") == {"run.worker_1.log"}


def stop(flags, folder, told, number):
    """Tell a worker to stop; whoever it is, the chief saves and all stop."""
    with cluster(2, flags, folder) as workers:
        pass_steps(workers[0], number)
        workers[told].send(signal.SIGTERM)
        codes, outputs = finish(workers)
    assert codes == (75, 75), outputs
    first, second = [text.strip().splitlines()[-1] for text in outputs]
    assert first == second
    assert "Stopped by SIGTERM" in first


def refuse_one(flags, folder):
    """Start one worker where two stopped, each with its own statistics."""
    with cluster(1, flags, folder) as workers:
        ((code,), (printed,)) = finish(workers)
    assert code == 2, printed
    assert "as many workers and devices" in printed.strip().splitlines()[-1]
    assert "Traceback" not in printed
    log = folder / "worker_0" / "run.worker_0.log"
    assert "Resuming after epoch" in log.read_text()


def kill_both(flags, folder, text):
    """Kill two workers when one has printed a text, or at once."""
    with cluster(2, flags, folder) as workers:
        if text:
            wait_for(workers[0], text)


def kill_one(flags, folder, victim, number):
    """Kill a worker after so many steps; the other ends by itself."""
    with cluster(2, flags, folder) as workers:
        pass_steps(workers[0], number)
        workers[victim].kill()
        end_of_survivor(workers[1 - victim])


def kill_in_a_save(flags, folder, number):
    """Kill the chief, which alone saves, between two files of a save."""
    target = killed_before("last.npz", number)
    with cluster(2, flags, folder, target) as workers:
        end_of_survivor(workers[1])
        assert workers[0].finish()[0] == -signal.SIGKILL


def end_of_survivor(worker):
    code, printed = worker.finish()
    assert code == 69, printed
    assert "another worker has exited" in printed


def test_stops_and_kills_of_either_worker_change_nothing(
    tmp_path, convolutional, undisturbed
):
    kill_both(convolutional, tmp_path, "")
    kill_both(convolutional, tmp_path, "Run folder")
    kill_one(convolutional, tmp_path, 0, 2)
    stop(convolutional, tmp_path, 0, 3)
    kill_one(convolutional, tmp_path, 1, 7)
    stop(convolutional, tmp_path, 1, 3)
    refuse_one(convolutional, tmp_path)
    kill_in_a_save(convolutional, tmp_path, 3)
    kill_one(convolutional, tmp_path, 0, 7)
    assert_same_files(train_two(tmp_path, convolutional), undisturbed)
