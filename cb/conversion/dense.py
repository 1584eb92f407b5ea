"""From a sparse Keras model to a plain one."""

import keras

from cb.conversion.classes import copy_with
from cb.conversion.classes import dense_form


def strip(model: keras.Model) -> keras.Model:
    """Make a plain Keras copy of a sparse model, zeros folded in.

    Tied kernels are written out. Keras's own functions load the copy without
    `cb`.

    Args:
        model: Keras model with masked or tied layers, Sequential or
            functional.

    Returns:
        A Keras model with the same outputs, without an optimizer.

    Raises:
        InputError: If the model cannot be cloned.
    """
    return copy_with(model, lambda layer, kind: dense_form(kind))
