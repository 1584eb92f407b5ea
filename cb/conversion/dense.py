"""From a sparse Keras model to a plain one."""

import keras

from cb.conversion.classes import DENSE_CLASSES
from cb.conversion.classes import Replacement
from cb.conversion.clone import copy_with


def strip(model: keras.Model) -> keras.Model:
    """Make a plain Keras copy of a sparse model, zeros folded in.

    Args:
        model: Keras model with masked layers, Sequential or functional.

    Returns:
        A Keras model with the same outputs and no layer of `cb` in the
        place of a masked one.

    Raises:
        InputError: If the model cannot be cloned.
    """

    def replace(kind):
        dense = DENSE_CLASSES.get(kind)
        return None if dense is None else Replacement(dense)

    return copy_with(model, lambda layer: replace)
