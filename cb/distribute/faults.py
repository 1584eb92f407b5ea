"""What happens when a worker goes, or is told to go."""

import contextlib
import re
import signal
import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from cb.distribute import collectives
from cb.errors import Preempted
from cb.errors import WorkerLost

# What collectives raise when a worker they wait for has gone.
GONE = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)
# An internal error may be this machine's own, unless it speaks of the others.
OF_OTHERS = re.compile(
    "collective|connection|grpc|nccl|by peer|remote|rst_stream|socket", re.I
)
# Where in our code it was noticed, which says nothing of the reason.
PLACES = re.compile(r"Graph execution error|Detected at node|\s+File ")
REASON_LENGTH = 200
SECONDS_BETWEEN_LOOKS = 1.0
MOST_BATCHES = 1000


@contextlib.contextmanager
def reported_loss(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turn what collectives raise into one clear line.

    Raises:
        WorkerLost: Instead of TensorFlow's error, if there are workers.
    """
    index, workers = collectives.rank_and_size(strategy)
    try:
        yield
    except GONE as error:
        internal = isinstance(error, tf.errors.InternalError)
        own = internal and not OF_OTHERS.search(error.message)
        if workers == 1 or own:
            raise
        said = error.message.splitlines()
        said = [line for line in said if not PLACES.match(line)]
        reason = " ".join(" ".join(said).split())[:REASON_LENGTH]
        raise WorkerLost(
            f"Worker {index} stops, since another worker has gone or cannot "
            "be reached; what stopped that one is in its own output. The "
            "same command on all workers goes on from the last checkpoint. "
            f"(TensorFlow: {reason})"
        ) from error


@contextlib.contextmanager
def stopped_at_once() -> Iterator[None]:
    """End at SIGTERM, as long as there is nothing to save.

    Raises:
        Preempted: When told so.
    """

    def stop(number, frame):
        raise Preempted(
            "Stopped as told (SIGTERM) before training began. The same "
            "command starts it."
        )

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StopRequest:
    """Whether SIGTERM has come, agreed between all workers.

    A context: inside, SIGTERM no longer ends the process. Workers agree by a
    small collective about once a second, not at every batch.

    Args:
        strategy: `tf.distribute.Strategy`.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self._index, self._workers = collectives.rank_and_size(strategy)
        self._told = False
        self._batches = 0
        self._pause = 1
        self._looked = time.monotonic()

    def __enter__(self):
        # After TensorFlow's own handler, which would swallow the signal.
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *error):
        signal.signal(signal.SIGTERM, self._before)

    def __call__(self) -> bool:
        """Tell whether to stop; all workers ask before every batch."""
        if self._workers == 1:
            return self._told
        self._batches += 1
        if self._batches < self._pause:
            return False
        pause = self._next_pause() if self._index == 0 else 0
        told, self._pause = collectives.all_reduce(
            self._strategy, np.array([self._told, pause], np.int64)
        )
        self._batches = 0
        return told > 0

    def _note(self, number, frame):
        self._told = True

    def _next_pause(self) -> int:
        """Return how many batches take about a second.

        At most twice as many as before: the first are no measure of others.
        """
        now = time.monotonic()
        seconds, self._looked = now - self._looked, now
        batches = SECONDS_BETWEEN_LOOKS * self._batches / max(seconds, 1e-6)
        return int(max(1, min(batches, 2 * self._batches, MOST_BATCHES)))
