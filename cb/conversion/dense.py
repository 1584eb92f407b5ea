"""From a sparse Keras model to a plain one."""

import keras

from cb.conversion.classes import copy_with
from cb.conversion.classes import dense_form


def strip(model: keras.Model) -> keras.Model:
    """Make a plain Keras copy of a sparse model, zeros folded in.

    Tied kernels are written out.

    Args:
        model: Keras model with masked or tied layers, Sequential or
            functional.

    Returns:
        A Keras model with the same outputs and no layer of `cb` in the
        place of a masked one.

    Raises:
        InputError: If the model cannot be cloned.
    """

    return copy_with(model, lambda layer: dense_form)
