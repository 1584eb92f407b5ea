"""Keras layers: masked weights, ghost batch normalization."""

import keras

from cb.errors import require_tensorflow
from cb.layers.chunked_loss import ChunkedLoss
from cb.layers.ghost_batch_normalization import GhostBatchNormalization
from cb.layers.maskable import maskable
from cb.layers.masked import Masked
from cb.layers.masked_attention import MaskedGroupQueryAttention
from cb.layers.masked_attention import MaskedMultiHeadAttention
from cb.layers.masked_conv import MaskedConv1D
from cb.layers.masked_conv import MaskedConv1DTranspose
from cb.layers.masked_conv import MaskedConv2D
from cb.layers.masked_conv import MaskedConv2DTranspose
from cb.layers.masked_conv import MaskedConv3D
from cb.layers.masked_conv import MaskedConv3DTranspose
from cb.layers.masked_conv import MaskedDepthwiseConv1D
from cb.layers.masked_conv import MaskedDepthwiseConv2D
from cb.layers.masked_conv import MaskedSeparableConv1D
from cb.layers.masked_conv import MaskedSeparableConv2D
from cb.layers.masked_dense import MaskedDense
from cb.layers.masked_dense import MaskedEinsumDense
from cb.layers.masked_embedding import MaskedEmbedding
from cb.layers.masked_embedding import MaskedReversibleEmbedding
from cb.layers.masked_in_place import MasksInside
from cb.layers.masked_recurrent import MaskedConvLSTM1D
from cb.layers.masked_recurrent import MaskedConvLSTM2D
from cb.layers.masked_recurrent import MaskedConvLSTM3D
from cb.layers.masked_recurrent import MaskedGRU
from cb.layers.masked_recurrent import MaskedGRUCell
from cb.layers.masked_recurrent import MaskedLSTM
from cb.layers.masked_recurrent import MaskedLSTMCell
from cb.layers.masked_recurrent import MaskedRNN
from cb.layers.masked_recurrent import MaskedSimpleRNN
from cb.layers.masked_recurrent import MaskedSimpleRNNCell
from cb.layers.neural_ode import NeuralODE
from cb.layers.registration import register_masked
from cb.layers.replacement import replace_batch_normalization
from cb.layers.s_shaped_relu import SReLU
from cb.layers.sparse_dense import SparseConv1D
from cb.layers.sparse_dense import SparseConv2D
from cb.layers.sparse_dense import SparseConv3D
from cb.layers.sparse_dense import SparseDense
from cb.layers.sparse_dense import SparseEinsumDense
from cb.layers.tied import TiedConv2D
from cb.layers.tied import TiedDense

require_tensorflow(keras.config.backend())

__all__ = [
    "ChunkedLoss",
    "GhostBatchNormalization",
    "Masked",
    "MaskedConv1D",
    "MaskedConv1DTranspose",
    "MaskedConv2D",
    "MaskedConv2DTranspose",
    "MaskedConv3D",
    "MaskedConv3DTranspose",
    "MaskedConvLSTM1D",
    "MaskedConvLSTM2D",
    "MaskedConvLSTM3D",
    "MaskedDense",
    "MaskedDepthwiseConv1D",
    "MaskedDepthwiseConv2D",
    "MaskedEinsumDense",
    "MaskedEmbedding",
    "MaskedGRU",
    "MaskedGRUCell",
    "MaskedGroupQueryAttention",
    "MaskedLSTM",
    "MaskedLSTMCell",
    "MaskedMultiHeadAttention",
    "MaskedRNN",
    "MaskedReversibleEmbedding",
    "MaskedSeparableConv1D",
    "MaskedSeparableConv2D",
    "MaskedSimpleRNN",
    "MaskedSimpleRNNCell",
    "MasksInside",
    "NeuralODE",
    "SReLU",
    "SparseConv1D",
    "SparseConv2D",
    "SparseConv3D",
    "SparseDense",
    "SparseEinsumDense",
    "TiedConv2D",
    "TiedDense",
    "maskable",
    "register_masked",
    "replace_batch_normalization",
]
