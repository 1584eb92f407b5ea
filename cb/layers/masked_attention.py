"""Attention whose projections have masked kernels."""

import keras

from cb.layers.masked import MaskedInside
from cb.layers.registration import register_masked


class _MaskedProjections(MaskedInside):
    def build(self, query_shape, value_shape, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.add_masks()


@register_masked(keras.layers.MultiHeadAttention, family="attention")
class MaskedMultiHeadAttention(
    _MaskedProjections, keras.layers.MultiHeadAttention
):
    """`keras.layers.MultiHeadAttention` with masked projections.

    Takes the arguments of `keras.layers.MultiHeadAttention`. The layers
    inside it (`query_dense`, `key_dense`, `value_dense`, `output_dense`) are
    `MaskedEinsumDense`.
    """


@register_masked(keras.layers.GroupQueryAttention, family="attention")
class MaskedGroupQueryAttention(
    _MaskedProjections, keras.layers.GroupQueryAttention
):
    """`keras.layers.GroupQueryAttention` with masked projections.

    Takes the arguments of `keras.layers.GroupQueryAttention`. The layers
    inside it are `MaskedEinsumDense`.
    """
