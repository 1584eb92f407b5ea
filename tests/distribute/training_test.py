"""Two machines end where one does, however often they fail on the way."""

import random
from csv import DictReader

import numpy as np
import pytest

from tests.workers import PATIENCE_SECONDS
from tests.workers import alone
from tests.workers import arrays
from tests.workers import cluster
from tests.workers import finish
from tests.workers import launch
from tests.workers import pass_steps

# 200 steps.
PERCEPTRON = [
    "--model=mlp(units=(16, 16))",
    "--reallocation=rigl(every=10, end=1.0)",
    "--batch_size=50",
    "--epochs=8",
    "--run_dir=run",
]
# Statistics and dropout that each replica has for itself.
CONVOLUTIONAL = [
    "--model=small_cnn(filters=(4, 8), units=16, dropout=0.2)",
    "--augmentation=pad_crop(1)|flip",
    "--reallocation=rigl(every=4, end=1.0)",
    "--batch_size=128",
    "--epochs=6",
    "--save_every=3",
    "--print_every=1",
    "--run_dir=run",
]
KILLS = 10


def train(folder, *flags):
    """Train in one process to the end; return the run folder."""
    folder.mkdir()
    with alone(flags, folder) as worker:
        code, printed = worker.finish()
    assert code == 0, printed
    return folder / "run"


def train_two(folder, *flags):
    """Train with two workers to the end; return the run folder."""
    folder.mkdir(exist_ok=True)
    with cluster(2, flags, folder) as workers:
        codes, printed = finish(workers)
    assert codes == (0, 0), printed
    return folder / "run"


def assert_same_files(one, other):
    """Compare what a training leaves behind, to the last bit."""
    for name in ("initial", "best", "last"):
        assert arrays(one, name) == arrays(other, name)
    for name in ("metrics.csv", "evaluation.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Train the convolutional network with two workers."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return train_two(folder, *CONVOLUTIONAL)


def test_two_workers_are_two_replicas(tmp_path, undisturbed):
    mirrored = "--strategy=mirrored(devices=2)"
    assert_same_files(
        undisturbed, train(tmp_path / "two", *CONVOLUTIONAL, mirrored)
    )


def test_two_workers_are_one_device_without_batch_norm(tmp_path):
    two = tmp_path / "workers"
    two.mkdir()
    launched = launch(2, PERCEPTRON, two)
    one = train(tmp_path / "one", *PERCEPTRON, "--strategy=none")
    output, errors = launched.communicate(timeout=PATIENCE_SECONDS)
    assert launched.returncode == 0, errors
    assert errors == ""
    files = {file.name for file in two.iterdir()}
    assert files == {"run", "run.worker_0.log", "run.worker_1.log"}
    # Progress is the chief's alone; the logs are each worker's own.
    assert output == (two / "run.worker_0.log").read_text()
    other = (two / "run.worker_1.log").read_text()
    assert "epoch 8/8  done" in other
    assert output.count("epoch 8/8  done") == 1
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
    scores = [values(folder / "evaluation.csv") for folder in (one, other)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def values(file):
    with open(file, newline="") as opened:
        return {row["name"]: float(row["value"]) for row in DictReader(opened)}


def test_ten_kills_at_random_moments_change_nothing(tmp_path, undisturbed):
    choose = random.Random(0)
    for number in range(KILLS):
        with cluster(2, CONVOLUTIONAL, tmp_path) as workers:
            victim, survivor = choose.sample(workers, 2)
            if number % 3 == 0:
                # Somewhere on the way to the first step, both.
                victim.process.join(choose.uniform(0.0, 3.0))
                continue
            pass_steps(workers[0], choose.randrange(1, 8))
            victim.process.join(choose.uniform(0.0, 0.1))
            victim.kill()
            code, printed = survivor.finish()
        assert code == 69, printed
        assert "another worker has gone" in printed
    assert_same_files(train_two(tmp_path, *CONVOLUTIONAL), undisturbed)
