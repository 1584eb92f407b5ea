"""Trainings in real processes that are watched, killed or work together."""

import contextlib
import functools
import os
import signal
import subprocess
import sys

import numpy as np

from cb.launch import free_ports
from tests import forks
from tests.commands import ROOT

PATIENCE_SECONDS = 600


class Worker:
    """A process that runs `train.py` with some flags, or another target.

    Attributes:
        process: The process.
        output: Lines that it prints, as they come, and its errors.
    """

    def __init__(self, flags, folder, target=None):
        reader, writer = forks.CONTEXT.Pipe(duplex=False)
        self.process = forks.CONTEXT.Process(
            target=target or command("train.py"),
            args=(flags, str(folder), writer),
        )
        self.process.start()
        writer.close()
        self.output = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        reader.close()

    def finish(self):
        """Wait for the end; return the exit code and what was printed."""
        printed = self.output.read()
        self.output.close()
        self.process.join(PATIENCE_SECONDS)
        return self.process.exitcode, printed

    def send(self, number):
        """Send a signal."""
        os.kill(self.process.pid, number)

    def kill(self):
        """End the process as a failing machine does."""
        self.process.kill()


@contextlib.contextmanager
def cluster(number, flags, folder, target=None, extra=()):
    """Start workers that find each other; none outlives the block.

    They share no files: each works in a folder of its own.

    Args:
        number: Integer, how many workers.
        flags: List of flags for all.
        folder: Path, in which worker `n` works in `worker_n`.
        target: Function `(flags, folder, writer)` to run instead of a
            training.
        extra: For each worker a list of flags of its own.
    """
    hosts = [f"127.0.0.1:{port}" for port in free_ports(number)]
    folders = [folder / f"worker_{index}" for index in range(number)]
    for own in folders:
        own.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                alone(
                    [
                        *flags,
                        *worker_flags(hosts, index),
                        *(extra[index] if extra else ()),
                    ],
                    own,
                    target,
                )
            )
            for index, own in enumerate(folders)
        ]


def worker_flags(hosts, index):
    """Return the flags that make a process one of several workers."""
    return [
        "--strategy=multi_worker",
        f"--worker_hosts={','.join(hosts)}",
        f"--worker_index={index}",
    ]


@contextlib.contextmanager
def alone(flags, folder, target=None):
    """Start one process; it does not outlive the block."""
    worker = Worker(flags, folder, target)
    try:
        yield worker
    finally:
        worker.kill()
        worker.process.join()
        worker.output.close()


def finish(workers):
    """Wait for all; return their exit codes and what they printed."""
    return list(zip(*[worker.finish() for worker in workers], strict=True))


def train_two(folder, flags):
    """Train with two workers to the end; return the run folder."""
    with cluster(2, flags, folder) as workers:
        codes, printed = finish(workers)
    assert codes == (0, 0), printed
    return folder / "worker_0" / "run"


def wait_for(worker, text, number=1):
    """Wait until a process has printed so many lines with a text."""
    while number:
        line = worker.output.readline()
        assert line, "the process has ended"
        number -= text in line


def pass_steps(worker, number):
    """Wait until a training has printed so many steps."""
    wait_for(worker, " step ", number)


def arrays(run, name="last"):
    """Return what a checkpoint holds, as bytes."""
    with np.load(run / "checkpoints" / f"{name}.npz") as file:
        return {key: file[key].tobytes() for key in file.files}


def assert_same_files(one, other):
    """Compare what two trainings leave behind, to the last bit."""
    for name in ("initial", "best", "last"):
        assert arrays(one, name) == arrays(other, name)
    for name in ("metrics.csv", "evaluation.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def launch(number, flags, folder):
    """Start a local cluster as a user does."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "cb.launch",
            f"--num_workers={number}",
            str(ROOT / "train.py"),
            *flags,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def redirect(folder, writer):
    """Let this process work in a folder and print into a pipe."""
    forks.redirect(folder, writer.fileno(), writer.fileno(), PATIENCE_SECONDS)
    writer.close()


def command(script, environment=()):
    """Return a target that runs a command, with variables if any."""
    return functools.partial(_run, script, dict(environment))


def killed_before(file, number):
    """Return a training that is killed when it would replace a file.

    Args:
        file: String, the name of the file.
        number: Integer, which of the replacements does not take place.
    """
    return functools.partial(_train_until, file, number)


def _train_until(file, number, flags, folder, writer):
    redirect(folder, writer)
    replace, left = os.replace, number

    def counted(source, target):
        nonlocal left
        left -= os.path.basename(target) == file
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = counted
    forks.run_script("train.py", flags)


def _run(script, environment, flags, folder, writer):
    redirect(folder, writer)
    os.environ.update(environment)
    forks.run_script(script, flags)
