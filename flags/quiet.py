"""Imports TensorFlow and Keras without a word, and with known settings."""

import contextlib
import gc
from collections.abc import Iterator

from cb.errors import InputError
from cb.errors import one_line
from cb.files.quiet import quiet_stderr


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
