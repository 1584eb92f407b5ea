"""Keras layers: masked weights, ghost batch normalization."""

from cb.layers.ghost_batch_normalization import GhostBatchNormalization
from cb.layers.masked import Masked
from cb.layers.masked_conv import MaskedConv1D
from cb.layers.masked_conv import MaskedConv2D
from cb.layers.masked_conv import MaskedConv2DTranspose
from cb.layers.masked_conv import MaskedConv3D
from cb.layers.masked_conv import MaskedDepthwiseConv2D
from cb.layers.masked_dense import MaskedDense
from cb.layers.masked_dense import MaskedEinsumDense
from cb.layers.replacement import replace_batch_normalization

__all__ = [
    "GhostBatchNormalization",
    "Masked",
    "MaskedConv1D",
    "MaskedConv2D",
    "MaskedConv2DTranspose",
    "MaskedConv3D",
    "MaskedDense",
    "MaskedDepthwiseConv2D",
    "MaskedEinsumDense",
    "replace_batch_normalization",
]
