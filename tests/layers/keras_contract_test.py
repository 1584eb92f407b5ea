"""Keras's own check of a layer, on every layer of ours."""

import keras
import pytest
from keras.src.testing import test_case

from cb import layers

IMAGE = (2, 6, 6, 2)
# Class name: arguments, input shape, output shape.
CASES = {
    "GhostBatchNormalization": ({"virtual_batch_size": 1}, (2, 5), (2, 5)),
    "MaskedConv1D": (
        {"filters": 5, "kernel_size": 3},
        (2, 6, 2),
        (2, 4, 5),
    ),
    "MaskedConv1DTranspose": (
        {"filters": 4, "kernel_size": 3},
        (2, 4, 2),
        (2, 6, 4),
    ),
    "MaskedConv2D": (
        {"filters": 4, "kernel_size": 3, "padding": "same"},
        IMAGE,
        (2, 6, 6, 4),
    ),
    "MaskedConv2DTranspose": (
        {"filters": 4, "kernel_size": 3, "strides": 2},
        (2, 4, 4, 2),
        (2, 9, 9, 4),
    ),
    "MaskedConv3D": (
        {"filters": 3, "kernel_size": 2},
        (2, 4, 4, 4, 2),
        (2, 3, 3, 3, 3),
    ),
    "MaskedConv3DTranspose": (
        {"filters": 3, "kernel_size": 2},
        (2, 2, 2, 2, 2),
        (2, 3, 3, 3, 3),
    ),
    "MaskedConvLSTM1D": (
        {"filters": 2, "kernel_size": 2},
        (2, 3, 4, 2),
        (2, 3, 2),
    ),
    "MaskedConvLSTM2D": (
        {"filters": 2, "kernel_size": 2},
        (2, 3, 4, 4, 2),
        (2, 3, 3, 2),
    ),
    "MaskedConvLSTM3D": (
        {"filters": 2, "kernel_size": 2},
        (2, 2, 3, 3, 3, 2),
        (2, 2, 2, 2, 2),
    ),
    "MaskedDense": ({"units": 5, "activation": "relu"}, (2, 4), (2, 5)),
    "MaskedDepthwiseConv1D": ({"kernel_size": 3}, (2, 6, 2), (2, 4, 2)),
    "MaskedDepthwiseConv2D": (
        {"kernel_size": 3, "depth_multiplier": 2},
        IMAGE,
        (2, 4, 4, 4),
    ),
    "MaskedEinsumDense": (
        {"equation": "abc,cd->abd", "output_shape": (3, 5)},
        (2, 3, 4),
        (2, 3, 5),
    ),
    "MaskedEmbedding": (
        {"input_dim": 7, "output_dim": 4},
        (2, 5),
        (2, 5, 4),
    ),
    "MaskedGRU": ({"units": 4}, (2, 5, 3), (2, 4)),
    "MaskedGroupQueryAttention": (
        {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
        {"query_shape": (2, 5, 4), "value_shape": (2, 3, 4)},
        (2, 5, 4),
    ),
    "MaskedLSTM": (
        {"units": 4, "return_sequences": True},
        (2, 5, 3),
        (2, 5, 4),
    ),
    "MaskedMultiHeadAttention": (
        {"num_heads": 2, "key_dim": 3},
        {"query_shape": (2, 5, 4), "value_shape": (2, 3, 4)},
        (2, 5, 4),
    ),
    "MaskedRNN": (
        {"cell": layers.MaskedGRUCell(4)},
        (2, 5, 3),
        (2, 4),
    ),
    "MaskedReversibleEmbedding": (
        {"input_dim": 7, "output_dim": 4},
        (2, 5),
        (2, 5, 4),
    ),
    "MaskedSeparableConv1D": (
        {"filters": 5, "kernel_size": 3},
        (2, 6, 2),
        (2, 4, 5),
    ),
    "MaskedSeparableConv2D": (
        {"filters": 5, "kernel_size": 3},
        IMAGE,
        (2, 4, 4, 5),
    ),
    "MaskedSimpleRNN": ({"units": 4}, (2, 5, 3), (2, 4)),
    "NeuralODE": (
        {"derivative": [keras.layers.Dense(3)]},
        (2, 3),
        (2, 3),
    ),
    "SReLU": ({}, (2, 4), (2, 4)),
    "SparseConv1D": (
        {"filters": 5, "kernel_size": 1, "connections": 7},
        (2, 6, 4),
        (2, 6, 5),
    ),
    "SparseConv2D": (
        {"filters": 5, "kernel_size": 1, "strides": 2, "connections": 7},
        (2, 6, 6, 4),
        (2, 3, 3, 5),
    ),
    "SparseConv3D": (
        {"filters": 5, "kernel_size": 1, "connections": 7},
        (2, 2, 3, 3, 4),
        (2, 2, 3, 3, 5),
    ),
    "SparseDense": ({"units": 5, "connections": 7}, (2, 4), (2, 5)),
    "SparseEinsumDense": (
        {
            "equation": "abc,cde->abde",
            "output_shape": (3, 2, 5),
            "bias_axes": "de",
            "connections": 7,
        },
        (2, 3, 4),
        (2, 3, 2, 5),
    ),
    "TiedConv2D": (
        {"filters": 4, "kernel_size": 3, "sparsity": 0.5},
        IMAGE,
        (2, 4, 4, 4),
    ),
    "TiedDense": ({"units": 5, "sparsity": 0.5}, (2, 4), (2, 5)),
}
# Bases, a loss and functions; cells are checked inside recurrent layers.
NO_LAYERS = {
    "ChunkedLoss",
    "Masked",
    "MaskedGRUCell",
    "MaskedLSTMCell",
    "MaskedSimpleRNNCell",
    "MasksInside",
    "maskable",
    "register_masked",
    "replace_batch_normalization",
}


# A differential equation adds up the errors of half precision; compiled
# kernels have no other.
SINGLE_PRECISION = {
    "NeuralODE",
    *(name for name in CASES if name.startswith("Sparse")),
}


def test_every_layer_has_a_case():
    assert set(CASES) == set(layers.__all__) - NO_LAYERS


# Keras's check trains on a generator and does not say that it is in order.
@pytest.mark.filterwarnings("ignore:.shuffle=True. was passed:UserWarning")
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_layer_passes_the_check_of_keras(name):
    arguments, inputs, outputs = CASES[name]
    dense = getattr(keras.layers, name.removeprefix("Masked"), None)
    case = test_case.TestCase()
    case.setUp()
    case.run_layer_test(
        getattr(layers, name),
        init_kwargs=arguments,
        input_shape=inputs,
        expected_output_shape=outputs,
        supports_masking=dense and dense(**arguments).supports_masking,
        # Keras makes no training data for several inputs.
        run_training_check=not isinstance(inputs, dict),
        run_mixed_precision_check=name not in SINGLE_PRECISION,
    )
