"""Starts a training on several local processes, to try and to test it.

`python -m cb.launch --num_workers=2 train.py ...` runs the command once for
each worker, on ports of the loopback interface that are free, and adds
`--strategy=multi_worker` with the addresses. The chief's output is shown as it
is; the other workers log to files of their own. When one worker fails, all are
ended, and its exit code is that of the launch. Ctrl-C and SIGTERM are passed
on to all workers; the second time all are killed.
"""

import argparse
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from collections.abc import Sequence

from cb.errors import INTERRUPTED
from cb.errors import WORKER_LOST

POLL_SECONDS = 0.05
# Others find out by themselves, with a better message than being ended.
GRACE_SECONDS = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a local cluster to its end.

    Args:
        arguments: Command line; that of the process by default.

    Returns:
        Integer, the exit code: of the first worker that failed, or 0.
    """
    options = _parser().parse_args(arguments)
    hosts = ",".join(
        f"127.0.0.1:{port}" for port in free_ports(options.num_workers)
    )
    workers: list[subprocess.Popen] = []
    with contextlib.ExitStack() as stack:
        signals = _Signals(workers)
        for index in range(options.num_workers):
            command = [
                sys.executable,
                options.script,
                *options.arguments,
                "--strategy=multi_worker",
                f"--worker_hosts={hosts}",
                f"--worker_index={index}",
            ]
            workers.append(stack.enter_context(_running(command)))
        signals.all_are_there()
        code = _wait(workers)
    return INTERRUPTED if signal.SIGINT in signals.come else code


def free_ports(number: int) -> list[int]:
    """Find ports of the loopback interface that nothing listens on.

    Args:
        number: Integer, how many.

    Returns:
        List of different ports.
    """
    with contextlib.ExitStack() as stack:
        # All are held until the last is found, so that none comes twice.
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cb.launch", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "--num_workers", type=_positive, default=2, help="processes to start"
    )
    parser.add_argument("script", help="such as train.py")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="flags of the script"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be an integer of at least 1, not {text!r}"
        )
    return int(text)


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen]:
    """Start a process that does not outlive the block."""
    # In a session of its own, so that Ctrl-C reaches it once, from here.
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


class _Signals:
    """Passes on to workers what this process is told.

    Args:
        workers: List of processes, which may still grow.
    """

    def __init__(self, workers: list[subprocess.Popen]):
        self.come: list[int] = []
        self._workers = workers
        self._ready = False
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            # What `nohup` has told to be ignored stays so, in workers too.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def all_are_there(self) -> None:
        """Pass on what came when not all workers had started."""
        self._ready = True
        if self.come:
            self._send(signal.SIGKILL if len(self.come) > 1 else self.come[0])

    def _note(self, number, frame):
        # Noted first: the next one may come while this one is passed on.
        self.come.append(number)
        if self._ready:
            self._send(signal.SIGKILL if len(self.come) > 1 else number)

    def _send(self, number: int) -> None:
        # Workers save what they have at SIGTERM; SIGHUP would just end them.
        told = signal.SIGTERM if number == signal.SIGHUP else number
        for worker in self._workers:
            worker.send_signal(told)


def _wait(workers: Sequence[subprocess.Popen]) -> int:
    """Wait until all have ended well, or one has not and the rest is ended."""
    while True:
        codes = [worker.poll() for worker in workers]
        if any(codes):
            _end(workers)
            return _cause([worker.poll() for worker in workers])
        if None not in codes:
            return 0
        time.sleep(POLL_SECONDS)


def _cause(codes: Sequence[int | None]) -> int:
    """Return the exit code of the worker that the others missed."""
    failed = [code for code in codes if code]
    code = next((code for code in failed if code != WORKER_LOST), WORKER_LOST)
    # A process that a signal has killed has a negative one.
    return code if code > 0 else 128 - code


def _end(workers: Sequence[subprocess.Popen]) -> None:
    """Let workers end by themselves for a while; then they are killed."""
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(max(deadline - time.monotonic(), 0.0))
