"""A run that is killed ends with the bits of one that is not."""

import random
import signal

import numpy as np
import pytest

from tests.commands import run
from tests.commands import start

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


def arrays(folder, name):
    with np.load(folder / "run" / "checkpoints" / f"{name}.npz") as file:
        return {key: file[key].tobytes() for key in file.files}


def kill_after_steps(process, steps):
    """Kill a training once it has printed so many steps; tell if it ended."""
    printed = 0
    for line in process.stdout:
        printed += " step " in line
        if printed > steps:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    return process.returncode == 0


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
    whole.mkdir()
    killed.mkdir()
    code, _, errors = run("train.py", *flags, folder=whole)
    assert code == 0, errors

    choose = random.Random(extra[0])
    for _ in range(kills):
        process = start("train.py", *flags, folder=killed)
        ended = kill_after_steps(process, choose.randrange(1, 10))
        assert not ended
    code, output, errors = run("train.py", *flags, folder=killed)
    assert code == 0, errors
    assert "Going on after" in output

    for name in ("last", "best", "initial"):
        assert arrays(whole, name) == arrays(killed, name)
    metrics = "run/metrics.csv"
    assert (whole / metrics).read_bytes() == (killed / metrics).read_bytes()
