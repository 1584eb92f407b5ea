"""A SavedModel that plain TensorFlow loads."""

import os
import shutil

import keras

from cb.conversion import strip
from cb.registry import unknown

FORMS = ("dense",)


def save(model: keras.Model, path: str, form: str = "dense") -> None:
    """Write a model as a SavedModel that needs neither `cb` nor Keras.

    The folder appears complete or not at all; an earlier one is replaced.

    Args:
        model: Keras model, sparse or not.
        path: String, the folder to write.
        form: `"dense"`: kernels of full size with the masks folded in.

    Raises:
        InputError: If the form is unknown.
    """
    if form not in FORMS:
        raise unknown("form", form, FORMS)
    path = os.fspath(path)
    folder, name = os.path.split(os.path.abspath(path))
    part = os.path.join(folder, f".{name}.part")
    shutil.rmtree(part, ignore_errors=True)
    strip(model).export(part, verbose=False)
    shutil.rmtree(path, ignore_errors=True)
    os.rename(part, path)
