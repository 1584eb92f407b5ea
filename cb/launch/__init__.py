"""Starts a training in several processes of this machine.

`python -m cb.launch --num_workers=2 train.py ...`, or of an installation
`cb launch --num_workers=2 train ...`, runs the command once per worker, on
free ports of the loopback interface, and adds `--strategy=multi_worker` with
the addresses. The output of the chief is shown unchanged; the other workers
log to files of their own. When one worker fails, all are stopped, and its exit
code is that of the launch. Ctrl-C and SIGTERM are forwarded to all workers; a
second one kills them.
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

import cb
from cb.errors import INTERRUPTED
from cb.errors import WORKER_LOST
from cb.text import INSTALLED
from cb.text import program

POLL_SECONDS = 0.05
# Other workers notice a loss themselves, and explain it better.
GRACE_SECONDS = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all workers until they exit.

    Args:
        arguments: Command line; that of the process by default.

    Returns:
        Integer, the exit code of the first worker that failed, or 0.
    """
    options = _parser().parse_args(arguments)
    ports = free_ports(options.num_workers)
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    workers: list[subprocess.Popen] = []
    with contextlib.ExitStack() as stack:
        signals = _Signals(workers)
        for index in range(options.num_workers):
            command = [
                sys.executable,
                *_script(options.script),
                *options.arguments,
                "--strategy=multi_worker",
                f"--worker_hosts={hosts}",
                f"--worker_index={index}",
            ]
            workers.append(stack.enter_context(_running(command)))
        signals.start_forwarding()
        code = _wait(workers)
    return INTERRUPTED if signal.SIGINT in signals.received else code


def _script(name: str) -> tuple[str, ...]:
    """Return the words that run a script, or a command of the program `cb`."""
    installed = program("train").split()[0] == INSTALLED
    return (sys.argv[0], name) if installed else (name,)


def free_ports(number: int) -> list[int]:
    """Find free ports of the loopback interface.

    Args:
        number: Integer, number of ports.

    Returns:
        List of different ports.
    """
    with contextlib.ExitStack() as stack:
        # All stay bound until the last is found, so that they differ.
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("launch"), description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "--num_workers", type=_positive, default=2, help="processes to start"
    )
    parser.add_argument(
        "--version", action="version", version=f"cb {cb.__version__}"
    )
    parser.add_argument("script", help="such as train.py, or train")
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
    """Start a process, and kill it at the end of the block."""
    # In a session of its own: Ctrl-C reaches it once, through this process.
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


class _Signals:
    """Forwards the signals that this process receives to the workers.

    Args:
        workers: List of processes, to which others may still be added.

    Attributes:
        received: List of the numbers of the signals.
    """

    def __init__(self, workers: list[subprocess.Popen]):
        self.received: list[int] = []
        self._workers = workers
        self._ready = False
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            # A signal that `nohup` ignores stays ignored, in workers too.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def start_forwarding(self) -> None:
        """Forward from now on, as all workers have started."""
        self._ready = True
        self._forward()

    def _note(self, number, frame):
        # Noted first: the next one may arrive while this one is forwarded.
        self.received.append(number)
        if self._ready:
            self._forward()

    def _forward(self) -> None:
        if not self.received:
            return
        number = self.received[0]
        if len(self.received) > 1:
            number = signal.SIGKILL
        elif number == signal.SIGHUP:
            # Workers save at SIGTERM; SIGHUP would only end them.
            number = signal.SIGTERM
        for worker in self._workers:
            worker.send_signal(number)


def _wait(workers: Sequence[subprocess.Popen]) -> int:
    """Wait until all have succeeded, or stop the rest after a failure."""
    while True:
        codes = [worker.poll() for worker in workers]
        if any(codes):
            _end(workers)
            return _cause([worker.poll() for worker in workers])
        if None not in codes:
            return 0
        time.sleep(POLL_SECONDS)


def _cause(codes: Sequence[int | None]) -> int:
    """Return the exit code of the worker whose loss the others reported."""
    failed = [code for code in codes if code]
    code = next((code for code in failed if code != WORKER_LOST), WORKER_LOST)
    # Negative after a signal.
    return code if code > 0 else 128 - code


def _end(workers: Sequence[subprocess.Popen]) -> None:
    """Give workers time to exit by themselves, before they are killed."""
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(max(deadline - time.monotonic(), 0.0))
