"""A run that is killed ends with the bits of one that is not."""

import random
import signal

import pytest

from tests.workers import alone
from tests.workers import assert_same_files
from tests.workers import pass_steps

FLAGS = [
    "--dataset=digits",
    "--model=small_cnn(filters=(4, 8), units=16, dropout=0.2)",
    "--augmentation=pad_crop(1)|flip",
    "--reallocation=rigl(every=4, end=1.0)",
    "--batch_size=128",
    "--epochs=12",
    "--save_every=3",
    "--print_every=1",
    "--weight_distance=20",
]
REGIME = (
    "--regime={0: {optimizer: sgd, learning_rate: 0.1, momentum: 0.9},"
    " 4: {optimizer: sgd, learning_rate: 0.02},"
    " 7: {optimizer: adam, learning_rate: 0.005}}"
)


@pytest.mark.parametrize(
    "kills, extra",
    [
        (10, ["--strategy=none"]),
        (10, ["--strategy=mirrored(devices=2)", REGIME]),
        (3, ["--gradient_accumulation=2", "--batch_size=64", "--mixup=0.4"]),
    ],
    ids=["one", "mirrored", "accumulated"],
)
def test_a_killed_run_ends_with_the_same_bits(tmp_path, kills, extra):
    flags = [*FLAGS, *extra, "--run_dir=run"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    with alone(flags, whole) as worker:
        code, printed = worker.finish()
    assert code == 0, printed

    choose = random.Random(extra[0])
    for _ in range(kills):
        with alone(flags, killed) as worker:
            pass_steps(worker, choose.randrange(2, 11))
            worker.kill()
            assert worker.finish()[0] == -signal.SIGKILL
    with alone(flags, killed) as worker:
        code, printed = worker.finish()
    assert code == 0, printed
    assert "Resuming after" in printed
    assert_same_files(whole / "run", killed / "run")
