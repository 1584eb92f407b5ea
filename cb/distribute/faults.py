"""Reactions to lost workers, and to SIGTERM and SIGHUP."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from cb.distribute import collectives
from cb.errors import Preempted
from cb.errors import WorkerLost

# Errors of collectives that wait for a worker which has exited.
GONE = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)
# An internal error is a local one, unless its message mentions others.
OF_OTHERS = re.compile(
    "collective|connection|grpc|nccl|by peer|remote|rst_stream|socket", re.I
)
# Lines of a message that give the place in our code, not the reason.
PLACES = re.compile(r"Graph execution error|Detected at node|\s+File ")
REASON_LENGTH = 200
SECONDS_BETWEEN_LOOKS = 1.0
MOST_BATCHES = 1000


@contextlib.contextmanager
def reported_loss(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Replace errors of collectives by `WorkerLost`.

    Args:
        strategy: `tf.distribute.Strategy`.

    Raises:
        WorkerLost: Instead of TensorFlow's error, if there are several
            workers.
    """
    index, workers = collectives.rank_and_size(strategy)
    try:
        yield
    except GONE as error:
        internal = isinstance(error, tf.errors.InternalError)
        own = internal and not OF_OTHERS.search(error.message)
        if workers == 1 or own:
            raise
        lines = error.message.splitlines()
        text = " ".join(line for line in lines if not PLACES.match(line))
        reason = " ".join(text.split())[:REASON_LENGTH]
        raise WorkerLost(
            f"Worker {index} stops: another worker has exited or cannot be "
            "reached. The reason is in the output of that worker. Run the "
            "same command again on all workers to resume from the last "
            f"checkpoint. (TensorFlow: {reason})"
        ) from error


@contextlib.contextmanager
def stopped_at_once() -> Iterator[None]:
    """Exit at SIGTERM or SIGHUP: nothing has been trained that could be saved.

    Raises:
        Preempted: At either.
    """

    def stop(number, frame):
        leave_terminal()
        raise Preempted(
            f"Stopped by {signal.Signals(number).name} before training began. "
            "Run the same command again to start it."
        )

    with handled(stop):
        yield


@contextlib.contextmanager
def handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Handle the signals that ask a process to stop.

    Args:
        handler: Callable of the number of a signal and a frame.
    """
    before = {
        number: signal.signal(number, handler)
        for number in (signal.SIGTERM, signal.SIGHUP)
        # What `nohup` ignores stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def leave_terminal() -> None:
    """Discard what is printed if the terminal has gone.

    Printing there is an error, which would end the process before it saves.
    """
    for descriptor in (1, 2):
        try:
            os.write(descriptor, b"")
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


class StopRequest:
    """Whether any worker was told to stop, the same on all of them.

    Inside of this context SIGTERM and SIGHUP do not end the process. Workers
    exchange a small message about once a second, not at every batch.

    Args:
        strategy: `tf.distribute.Strategy`.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self._index, self._workers = collectives.rank_and_size(strategy)
        self._received = False
        self._batches = 0
        self._pause = 1
        self._looked = time.monotonic()

    def __enter__(self):
        # Installed after TensorFlow's handler, which discards the signal.
        self._handled = handled(self._note)
        self._handled.__enter__()
        return self

    def __exit__(self, *error):
        self._handled.__exit__(*error)

    def __call__(self) -> bool:
        """Return whether to stop; all workers call this before every batch."""
        if self._workers == 1:
            return self._received
        self._batches += 1
        if self._batches < self._pause:
            return False
        pause = self._next_pause() if self._index == 0 else 0
        received, self._pause = collectives.all_reduce(
            self._strategy, np.array([self._received, pause], np.int64)
        )
        self._batches = 0
        return received > 0

    def _note(self, number, frame):
        self._received = True
        leave_terminal()

    def _next_pause(self) -> int:
        """Return the number of batches in about a second.

        It at most doubles: the first batches take longer than later ones.
        """
        now = time.monotonic()
        seconds, self._looked = now - self._looked, now
        batches = SECONDS_BETWEEN_LOOKS * self._batches / max(seconds, 1e-6)
        return int(max(1, min(batches, 2 * self._batches, MOST_BATCHES)))
