"""Worker process for the runs of a sweep, with limits."""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import sys
import threading
import time
import traceback
from multiprocessing import connection
from typing import Any
from typing import NamedTuple

from cb.errors import Locked
from cb.errors import Preempted
from cb.errors import machine_error
from cb.errors import one_line
from cb.tuning.run_request import FAILED
from cb.tuning.run_request import RunRequest
from cb.tuning.run_request import RunResult

POLL_SECONDS = 0.2
# For the checkpoint of a run that is told to stop.
SAVING_SECONDS = 10.0
WAITING_SECONDS = 1.0
GIGABYTE = 1e9
TOLD = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Limits(NamedTuple):
    """Limits of a run.

    Attributes:
        seconds: Float, the longest duration, or `None`.
        gigabytes: Float, memory of its whole process, or `None`.
    """

    seconds: float | None = None
    gigabytes: float | None = None


class Worker:
    """Runs one request after the other in another process.

    A run that crashes or exceeds a limit ends that process, not the sweep; the
    next request gets a new one.

    Args:
        limits: `Limits` of each run.
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self._process: Any = None

    def run(self, request: RunRequest, log: pathlib.Path) -> RunResult:
        """Run a request.

        Args:
            request: `RunRequest`.
            log: Path of the file to which its output is appended.

        Returns:
            `RunResult`, with the reason as its note if the run failed.

        Raises:
            Preempted: If the process was told to stop, which is no failure of
                the run.
            OSError: If the machine refuses to go on, with a full disk for
                example.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        try:
            if self._process is None or not self._process.is_alive():
                self._start()
                started = time.monotonic()
            self._pipe.send((request, str(log)))
            while not self._pipe.poll(POLL_SECONDS):
                reason = self._exceeded(time.monotonic() - started)
                if reason:
                    return self._given_up(reason, started)
            outcome = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return self._given_up(_reason(self._process.exitcode), started)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def stop(self, patience: float = SAVING_SECONDS) -> None:
        """End the process.

        Args:
            patience: Float, how many seconds a run may take to save itself.
        """
        if self._process is not None:
            self._process.terminate()
            self._process.join(patience)
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self) -> None:
        # TensorFlow's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,))
        # Of an interrupt at the terminal, this process tells.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        # Exclude import time from the first run's time limit.
        self._pipe.recv()

    def _exceeded(self, seconds: float) -> str:
        limits = self._limits
        if limits.seconds is not None and seconds > limits.seconds:
            return f"it took longer than {limits.seconds:g} s"
        if limits.gigabytes is not None:
            used = memory(self._process.pid) / GIGABYTE
            if used > limits.gigabytes:
                return f"it used more than {limits.gigabytes:g} GB of memory"
        return ""

    def _given_up(self, reason: str, started: float) -> RunResult:
        self.stop(patience=0.0)
        seconds = time.monotonic() - started
        return RunResult(FAILED, {}, reason, seconds=seconds)


def _reason(code: int) -> str:
    """Return why a process ended by itself.

    Raises:
        Preempted: If it was told to.
    """
    if -code in TOLD:
        name = signal.Signals(-code).name
        raise Preempted(f"The process of a run was stopped by {name}.")
    if code == -signal.SIGKILL:
        return "its process was killed, as when the machine runs out of memory"
    return f"its process ended with exit code {code}"


def memory(process: int) -> int:
    """Return the resident memory of a process in bytes, 0 if unknown."""
    try:
        fields = pathlib.Path(f"/proc/{process}/statm").read_text().split()
    except OSError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def _work(pipe) -> None:
    """Run the requests from the pipe until its other end closes."""
    # Discard TensorFlow's start-up messages and all output between runs.
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()
    threading.Thread(
        target=_end_with, args=(parent.sentinel,), daemon=True
    ).start()
    # Imports TensorFlow, which the thread above does not need.
    from cb.training import keras_settings
    from cb.tuning import trial

    keras_settings.use_defaults()
    pipe.send(trial.__name__)
    while True:
        try:
            request, log = pipe.recv()
        except EOFError:
            return
        try:
            with _redirected(log):
                outcome = attempt(request)
        except (OSError, Preempted) as error:
            pipe.send(error)
            return
        pipe.send(outcome)


def _end_with(sentinel) -> None:
    connection.wait([sentinel])
    os._exit(1)


@contextlib.contextmanager
def _redirected(log: str):
    with open(log, "a", encoding="utf-8") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        yield
        sys.stdout.flush()
        sys.stderr.flush()


def attempt(request: RunRequest) -> RunResult:
    """Run a request; return a failure instead of raising it.

    Raises:
        Preempted: If the process was told to stop.
        OSError: If the machine refuses to go on.
    """
    from cb.tuning.trial import perform

    while True:
        try:
            return perform(request)
        except Preempted:
            raise
        except Locked as error:
            # As after a kill, while the process of the run still ends.
            print(f"Waiting. {error}", flush=True)
            time.sleep(WAITING_SECONDS)
        except Exception as error:  # A trial may fail in any way.
            if (refusal := machine_error(error)) is not None:
                raise refusal from error
            traceback.print_exc()
            reason = one_line(error, None) or type(error).__name__
            return RunResult(FAILED, {}, reason[:300])
