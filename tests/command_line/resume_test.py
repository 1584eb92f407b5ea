"""A run that is killed ends with the bits of one that is not."""

import signal

import pytest

from tests.workers import alone
from tests.workers import assert_same_files
from tests.workers import killed_before
from tests.workers import pass_steps

FLAGS = [
    "--dataset=digits",
    "--model=small_cnn(filters=(4, 8), units=16, dropout=0.2)",
    "--augmentation=pad_crop(1)|flip",
    "--reallocation=rigl(every=4, end=1.0)",
    "--batch_size=128",
    "--epochs=8",
    "--save_every=3",
    "--print_every=1",
    "--weight_distance=20",
]
REGIME = (
    "--regime={0: {optimizer: sgd, learning_rate: 0.1, momentum: 0.9},"
    " 3: {optimizer: sgd, learning_rate: 0.02},"
    " 5: {optimizer: adam, learning_rate: 0.005}}"
)


def kill_at(moment, flags, folder):
    """Train until a moment."""
    if isinstance(moment, int):
        with alone(flags, folder) as worker:
            pass_steps(worker, moment)
            worker.kill()
            code, printed = worker.finish()
    else:
        with alone(flags, folder, killed_before(*moment)) as worker:
            code, printed = worker.finish()
    assert code == -signal.SIGKILL, printed


# Of 80 steps ten make an epoch, and every third is saved. A moment is a number
# of printed steps, or a file of the run that is about to be replaced and how
# often; both are counted anew by every process. When `last` is to be replaced
# there is none, since it has become `previous`.
@pytest.mark.parametrize(
    "moments, extra",
    [
        (
            [2, (".next.npz", 1), ("best.npz", 1), 9, ("last.npz", 5), 30],
            [
                "--strategy=none",
                "--gradient_accumulation=2",
                "--batch_size=64",
                "--mixup=0.4",
            ],
        ),
        (
            # One at least in each phase of the regime.
            [8, ("best.npz", 1), ("last.npz", 9), 21],
            ["--strategy=mirrored(devices=2)", REGIME],
        ),
    ],
    ids=["accumulated", "mirrored"],
)
def test_a_killed_run_ends_with_the_same_bits(tmp_path, moments, extra):
    flags = [*FLAGS, *extra, "--run_dir=run"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    with alone(flags, whole) as worker:
        code, printed = worker.finish()
    assert code == 0, printed

    for moment in moments:
        kill_at(moment, flags, killed)
    with alone(flags, killed) as worker:
        code, printed = worker.finish()
    assert code == 0, printed
    assert "Resuming after" in printed
    assert_same_files(whole / "run", killed / "run")
