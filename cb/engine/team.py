"""Threads that share every operation of a network, and stay for a while."""

import concurrent.futures
import threading
from typing import Any

import numpy as np

from cb.engine.plan import Plan
from cb.kernels.threads import pool
from cb.kernels.threads import threads
from cb.kernels.tiles import aligned

# Inputs and outputs of a thread that helps.
_NOTHING = np.zeros((0, 0), "float32")


class Team:
    """A caller, and threads that wait for the next call some 0.1 ms.

    Args:
        used: `Plan`.
        features: Integer, the numbers of an example.
        width: Integer, those of its outputs.
    """

    def __init__(self, used: Plan, features: int, width: int):
        self._code = used.code
        # As many tiles as threads: more are shared as wholes.
        self._rows = threads() * used.images
        memory = aligned((used.floats,))
        memory.fill(0)
        x, y = (
            np.zeros((self._rows, size), "float32")
            for size in (features, width)
        )
        size = 2 + 2 * threads() * len(used.arrays[0])
        self._counters = np.zeros(size, "int64")
        self._box = np.array([1, 0, 0, 0])
        tile = used.arrays, memory, x, y, used.images
        self._shared: tuple[Any, ...] = (*tile, self._counters, self._box)
        self._helpers: list[concurrent.futures.Future] = []
        self._lock = threading.Lock()

    def run(self, x: np.ndarray, y: np.ndarray) -> bool | None:
        """Run a batch.

        Args:
            x: float32 array `(examples, features)`.
            y: float32 array `(examples, width)`, filled.

        Returns:
            Whether the inputs are finite; or `None` if nothing was done, as
            there are too many examples or the team is at work.
        """
        if len(x) > self._rows or not self._lock.acquire(blocking=False):
            return None
        try:
            pool().keep_off()
            self._call_helpers()
            led = self._code.run_together(*self._shared, x, y, True)
            return not self._counters[1] if led else None
        finally:
            self._lock.release()

    def _call_helpers(self) -> None:
        """Wake as many threads as have left or never came."""
        # Who leaves is not done before this thread lets it: while it may help
        # no more, Python runs here.
        self._helpers = [one for one in self._helpers if not one.done()]
        coming = sum(not one.running() for one in self._helpers)
        for _ in range(threads() - 1 - coming - int(self._box[3])):
            self._helpers.append(pool().submit(self._help))

    def _help(self) -> None:
        self._code.run_together(*self._shared, _NOTHING, _NOTHING, False)
