"""What is particular to some masked layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cb import layers
from cb.layers.masked import mask_in_place
from cb.layers.masked import masked_kernels
from cb.layers.traversal import named_layers


def test_a_separable_layer_has_two_masked_weights():
    layer = layers.MaskedSeparableConv2D(4, 3)
    model = keras.Sequential([keras.Input((8, 8, 2)), layer])
    kernels = masked_kernels(model)
    assert [kernel.key.split("/")[1] for kernel in kernels] == [
        "depthwise_kernel",
        "pointwise_kernel",
    ]
    assert len({kernel.key.split("/")[0] for kernel in kernels}) == 1
    assert kernels[0].mask is layer.depthwise_mask
    assert kernels[1].mask is layer.pointwise_mask


def test_a_kernel_knows_the_blocks_of_its_mask():
    layer = layers.MaskedSeparableConv2D(4, 3, granularity="slice")
    model = keras.Sequential([keras.Input((8, 8, 2)), layer])
    blocks = [kernel.block for kernel in masked_kernels(model)]
    assert blocks == [(3, 3, 1, 1), (1, 1, 1, 1)]


def test_layers_inside_layers_are_named_after_both():
    inputs = keras.Input((5, 4))
    attention = layers.MaskedMultiHeadAttention(2, 3, name="attend")
    outputs = layers.MaskedLSTM(3, name="read")(attention(inputs, inputs))
    model = keras.Model(inputs, outputs)
    assert [kernel.name for kernel in masked_kernels(model)] == [
        "attend/query",
        "attend/key",
        "attend/value",
        "attend/attention_output",
        "read/lstm_cell",
        "read/lstm_cell/recurrent_kernel",
    ]


def test_nested_models_leave_names_as_they_are():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.MaskedDense(4, name="dense")], name="inner"
    )
    model = keras.Sequential([keras.Input((4,)), inner])
    assert [name for name, _ in named_layers(model)][-1] == "dense"
    assert [kernel.name for kernel in masked_kernels(model)] == ["dense"]


def test_a_recurrent_layer_masks_its_kernels_outside_the_loop():
    layer = layers.MaskedLSTM(4, use_cudnn=False)
    layer.build((None, 6, 3))
    inputs = tf.zeros((2, 6, 3))
    graph = tf.function(layer).get_concrete_function(inputs).graph
    outer = [op for op in graph.get_operations() if op.type == "Mul"]
    kernel_size = [
        op for op in outer if tuple(op.outputs[0].shape) in ((3, 16), (4, 16))
    ]
    assert len(kernel_size) == 2


def test_regularizers_see_active_weights_only():
    layer = layers.MaskedDense(2, kernel_regularizer=keras.regularizers.L1(0.5))
    layer.build((None, 2))
    layer.raw_kernel.assign([[1.0, -2.0], [3.0, -4.0]])
    layer.mask.assign([[1, 0], [0, 1]])
    assert float(layer.losses[0]) == 2.5


def test_a_saved_mask_takes_one_bit_a_weight():
    layer = layers.MaskedDense(3)
    layer.build((None, 3))
    layer.mask.assign([[1, 0, 0], [0, 1, 0], [1, 1, 1]])
    store = {}
    layer.save_own_variables(store)
    assert store["2"].tobytes() == bytes([0b10001011, 0b10000000])
    other = layers.MaskedDense(3)
    other.build((None, 3))
    other.load_own_variables(store)
    np.testing.assert_array_equal(other.mask, layer.mask)


def test_a_missing_entry_is_refused_at_load():
    layer = layers.MaskedDense(3)
    layer.build((None, 3))
    with pytest.raises(ValueError, match="expected 3 variables"):
        layer.load_own_variables({"0": np.zeros((3, 3))})


@pytest.mark.parametrize(
    "dense,masked,shape",
    [
        (keras.layers.Dense(3), layers.MaskedDense, (2, 4)),
        (
            keras.layers.DepthwiseConv2D(3),
            layers.MaskedDepthwiseConv2D,
            (2, 5, 5, 2),
        ),
        (
            keras.layers.SeparableConv2D(3, 3),
            layers.MaskedSeparableConv2D,
            (2, 5, 5, 2),
        ),
    ],
)
def test_a_built_layer_can_be_masked_in_place(dense, masked, shape):
    inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
    outputs = dense(inputs)
    variables = list(dense.trainable_variables)
    mask_in_place(dense, masked, "slice")
    assert type(dense) is masked
    assert dense.granularity == "slice"
    assert all(
        new is old
        for new, old in zip(dense.trainable_variables, variables, strict=True)
    )
    np.testing.assert_array_equal(dense(inputs), outputs)
    with pytest.raises(ValueError, match="cb.strip"):
        dense.quantize("int8")
