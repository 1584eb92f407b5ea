"""Attention whose projections have masked kernels."""

import keras

from cb.layers.masked import mask_in_place
from cb.layers.masked_dense import MaskedEinsumDense


class _MaskedProjections:
    """Mixin: masks the projections that the attention layer has built."""

    masked_weights = ()

    def __init__(self, *args, granularity="weight", **kwargs):
        super().__init__(*args, **kwargs)
        self.granularity = granularity

    def build(self, query_shape, value_shape, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.add_masks()

    def add_masks(self):
        """Mask the projections of the built layer."""
        for layer in self._layers:
            if type(layer) is keras.layers.EinsumDense:
                mask_in_place(layer, MaskedEinsumDense, self.granularity)

    def get_config(self):
        config = super().get_config()
        return {**config, "granularity": self.granularity}


@keras.saving.register_keras_serializable("cb")
class MaskedMultiHeadAttention(
    _MaskedProjections, keras.layers.MultiHeadAttention
):
    """`keras.layers.MultiHeadAttention` with masked projections.

    Takes the arguments of `keras.layers.MultiHeadAttention`. The layers
    inside it (`query_dense`, `key_dense`, `value_dense`, `output_dense`) are
    `MaskedEinsumDense`.
    """


@keras.saving.register_keras_serializable("cb")
class MaskedGroupQueryAttention(
    _MaskedProjections, keras.layers.GroupQueryAttention
):
    """`keras.layers.GroupQueryAttention` with masked projections.

    Takes the arguments of `keras.layers.GroupQueryAttention`. The layers
    inside it are `MaskedEinsumDense`.
    """
