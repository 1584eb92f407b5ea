"""Densely connected layers with a masked kernel."""

import keras

from cb.layers.masked import Masked
from cb.layers.registration import register_masked


@register_masked(keras.layers.Dense, family="dense")
class MaskedDense(Masked, keras.layers.Dense):
    """`keras.layers.Dense` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.Dense`.

    Input shape:
        Tensor `(batch, ..., inputs)`.

    Output shape:
        Tensor `(batch, ..., units)`.

    Example:

    >>> layer = cb.layers.MaskedDense(2)
    >>> layer.build((None, 3))
    >>> layer.mask.assign([[1, 0], [0, 1], [1, 1]])
    """


@register_masked(keras.layers.EinsumDense, family="dense")
class MaskedEinsumDense(Masked, keras.layers.EinsumDense):
    """`keras.layers.EinsumDense` whose kernel is multiplied by a mask.

    Takes the arguments of `keras.layers.EinsumDense`.
    """

    spatial_axes = {"kernel": 0}
