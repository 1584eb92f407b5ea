"""Imports TensorFlow and Keras without a word, and with known settings."""

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator

from cb.errors import InputError
from cb.errors import missing_package
from cb.errors import one_line


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to standard error; show it on failure.

    TensorFlow writes to the file descriptor before its log level can be
    set, so the descriptor itself is redirected meanwhile.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
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


@contextlib.contextmanager
def nothing_collected() -> Iterator[None]:
    """Make no garbage collections, and leave what is there out of later ones.

    Modules are never garbage, and TensorFlow's are a million objects, which
    collections would visit again and again: a tenth of its import and more of
    a short training.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def keras_imported() -> Iterator[None]:
    """Import Keras with its default settings, then the block, quietly.

    Raises:
        InputError: If Keras refuses the user's `keras.json`.
    """
    with quiet_stderr(), nothing_collected():
        try:
            import keras
        except (AttributeError, OSError, TypeError, ValueError) as error:
            raise InputError(
                "Keras cannot be imported with the settings in its keras.json "
                f"or environment. Received: {one_line(error)}"
            ) from error
        from cb.training.keras_settings import use_defaults

        del keras
        use_defaults()
        yield
