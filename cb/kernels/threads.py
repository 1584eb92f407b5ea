"""Threads that run compiled kernels."""

import concurrent.futures
import contextlib
import ctypes
import functools
import importlib.util
import os
import sys
import threading
from collections.abc import Callable

from cb.errors import InputError


def require_numba() -> None:
    """Raise `InputError` if kernels cannot be compiled."""
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise InputError(
            "Compiled sparse kernels need Numba: `pip install numba`. "
            f"Received: {error}"
        ) from error


def has_numba() -> bool:
    """Return whether kernels can be compiled."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def threads() -> int:
    """Return how many threads TensorFlow may use for one operation.

    All processors if TensorFlow is not there. Cached, since asking it takes as
    long as a small product.
    """
    tensorflow = sys.modules.get("tensorflow")
    chosen = 0
    if tensorflow is not None:
        chosen = tensorflow.config.threading.get_intra_op_parallelism_threads()
    if hasattr(os, "sched_getaffinity"):
        return chosen or len(os.sched_getaffinity(0))
    return chosen or os.cpu_count() or 1


class Pool(concurrent.futures.ThreadPoolExecutor):
    """Threads that help another one, on processors of their own.

    Linux lets a thread that wakes wait where the one runs that woke it, for
    50 ms at times, while another processor has nothing to do.
    """

    def __init__(self):
        super().__init__(threads(), initializer=self._begin)
        # The processor that each thread keeps off.
        self._avoided: dict[int, int | None] = {}

    def _begin(self) -> None:
        self._avoided[threading.get_native_id()] = None

    def keep_off(self) -> None:
        """Keep the threads off the processor of the caller, if they can."""
        here = processor()
        if here is None or threads() > _MOVED:
            return
        for thread, avoided in [*self._avoided.items()]:
            if avoided == here:
                continue
            self._avoided[thread] = here
            # What a process may use can change at any time.
            with contextlib.suppress(OSError):
                if others := os.sched_getaffinity(os.getpid()) - {here}:
                    os.sched_setaffinity(thread, others)


def processor() -> int | None:
    """Return the processor that runs this thread, where Linux tells it."""
    return None if _processor is None else _processor()


_processor: Callable[[], int] | None = None
if hasattr(os, "sched_setaffinity"):
    # 0.3 us, and the GIL is kept.
    _processor = getattr(ctypes.PyDLL(None), "sched_getcpu", None)
# Threads up to which each is told, a microsecond each, where not to run.
_MOVED = 8


@functools.cache
def pool() -> Pool:
    """Return the threads of this process."""
    return Pool()


# Threads do not survive a fork: work submitted to them would never run.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.cache_clear)


def share(work: Callable[[int], None], shares: int) -> None:
    """Divide work that releases the GIL among threads.

    The caller takes over the share of a thread that has not begun when its
    own is done, so that nobody waits for threads of a busy machine.

    Args:
        work: Callable with the number of a share, from zero.
        shares: Integer.
    """
    if shares > 1:
        pool().keep_off()
    others = [
        (number, pool().submit(work, number)) for number in range(1, shares)
    ]
    try:
        work(0)
        for number, future in others:
            if future.cancel():
                work(number)
    finally:
        # No thread may still be writing when the caller continues or raises.
        begun = [future for _, future in others if not future.cancel()]
        for future in begun:
            future.exception()
    for future in begun:
        future.result()
