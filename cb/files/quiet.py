"""Standard error, while libraries write to it past Python."""

import contextlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from cb.errors import InputError
from cb.errors import missing_package


class _Shared:
    """A context that several threads, or blocks inside each other, share.

    The first enters it and the last leaves it: whoever restored what was there
    when it came could restore what another had put there.

    Args:
        make: Function that returns the context.
    """

    def __init__(self, make: Callable[[], contextlib.AbstractContextManager]):
        self._make = make
        self._lock = threading.Lock()
        self._inside = 0
        self._context: Any = None
        self._value: Any = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Any]:
        with self._lock:
            if not self._inside:
                self._context = self._make()
                self._value = self._context.__enter__()
            self._inside += 1
            value = self._value
        try:
            yield value
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._context.__exit__(None, None, None)


@contextlib.contextmanager
def _less_logging() -> Iterator[None]:
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _redirected() -> Iterator[Callable[[], None]]:
    """Redirect standard error; yield what shows what was written since."""
    sys.stderr.flush()
    kept, shown, lock = os.dup(2), 0, threading.Lock()

    def show() -> None:
        nonlocal shown
        with lock:
            end = os.fstat(held.fileno()).st_size
            # At a place of its own: that of the file is where others write.
            os.write(kept, os.pread(held.fileno(), end - shown, shown))
            shown = end

    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield show
        finally:
            os.dup2(kept, 2)
            os.close(kept)


_logging, _redirection = _Shared(_less_logging), _Shared(_redirected)


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Hold back what TensorFlow says of files that have another name later."""
    with _logging():
        yield


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to standard error; show it on failure.

    TensorFlow and LiteRT write to the file descriptor whatever the log level,
    so the descriptor itself is redirected meanwhile, for all threads. What
    several of them hold back at once is shown if one fails.
    """
    with _redirection() as show, quiet_tensorflow():
        try:
            yield
        except BaseException as error:
            missing = isinstance(error, ImportError) and missing_package(error)
            # These say everything in their one line.
            if not missing and not isinstance(error, InputError):
                show()
            raise
