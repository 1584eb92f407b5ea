"""Standard error, while libraries write to it past Python."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from cb.errors import InputError
from cb.errors import missing_package


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Hold back what TensorFlow says of files that have another name later."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to standard error; show it on failure.

    TensorFlow and LiteRT write to the file descriptor whatever the log level,
    so the descriptor itself is redirected meanwhile.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held, quiet_tensorflow():
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException as error:
            missing = isinstance(error, ImportError) and missing_package(error)
            # These say everything in their one line.
            if not missing and not isinstance(error, InputError):
                held.seek(0)
                os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
