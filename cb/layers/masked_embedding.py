"""Embeddings with a mask, left dense unless they are included by name."""

import keras

from cb.layers.masked import Masked
from cb.layers.registration import register_masked


class _MaskedEmbedding(Masked):
    masked_weights = ("embeddings",)
    # A vector that is looked up costs no product, and rare words move slowly.
    on_request = True

    def build(self, input_shape=None):
        # Keras builds at once where the argument `weights` is given.
        if not self.built:
            super().build(input_shape)


@register_masked(keras.layers.Embedding, family="embedding")
class MaskedEmbedding(_MaskedEmbedding, keras.layers.Embedding):
    """`keras.layers.Embedding` whose vectors are multiplied by a mask.

    Takes the arguments of `keras.layers.Embedding`. The mask has the shape
    of the vectors, `(input_dim, output_dim)`.
    """


@register_masked(keras.layers.ReversibleEmbedding, family="embedding")
class MaskedReversibleEmbedding(
    _MaskedEmbedding, keras.layers.ReversibleEmbedding
):
    """`keras.layers.ReversibleEmbedding` with a mask in both directions.

    Takes the arguments of `keras.layers.ReversibleEmbedding`. With
    `tie_weights=False` the kernel of the way back stays dense.
    """
