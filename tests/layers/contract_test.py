"""What every masked layer promises, each checked on each of them."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from cb import layers
from cb.layers.masked import Masked
from cb.layers.masked import masked_kernels
from cb.layers.masked import straight_through

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")

# Class name: arguments, input shape (without the batch).
CASES = {
    "Dense": ({"units": 5, "activation": "relu"}, (4,)),
    "EinsumDense": (
        {"equation": "abc,cd->abd", "output_shape": (None, 5)},
        (3, 4),
    ),
    "Conv1D": ({"filters": 5, "kernel_size": 3}, (6, 2)),
    "Conv2D": ({"filters": 4, "kernel_size": 3, "groups": 2}, (6, 6, 2)),
    "Conv3D": ({"filters": 3, "kernel_size": 2}, (4, 4, 4, 2)),
    "DepthwiseConv1D": ({"kernel_size": 3, "depth_multiplier": 2}, (6, 3)),
    "DepthwiseConv2D": ({"kernel_size": 3, "depth_multiplier": 2}, (6, 6, 3)),
    "Conv2DTranspose": (
        {"filters": 4, "kernel_size": 3, "strides": 2},
        (4, 4, 2),
    ),
    "Conv1DTranspose": ({"filters": 4, "kernel_size": 3, "strides": 2}, (4, 2)),
    "Conv3DTranspose": ({"filters": 3, "kernel_size": 2}, (2, 2, 2, 2)),
    "ConvLSTM1D": ({"filters": 2, "kernel_size": 2}, (3, 4, 2)),
    "ConvLSTM2D": ({"filters": 2, "kernel_size": 2}, (3, 4, 4, 2)),
    "ConvLSTM3D": ({"filters": 2, "kernel_size": 2}, (2, 3, 3, 3, 2)),
    "Embedding": ({"input_dim": 7, "output_dim": 4}, (5,)),
    "ReversibleEmbedding": ({"input_dim": 7, "output_dim": 4}, (5,)),
    "SeparableConv1D": ({"filters": 5, "kernel_size": 3}, (6, 2)),
    "SeparableConv2D": ({"filters": 5, "kernel_size": 3}, (6, 6, 2)),
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 3}, (5, 4)),
    "GroupQueryAttention": (
        {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
        (5, 4),
    ),
    "SimpleRNN": ({"units": 4}, (5, 3)),
    "LSTM": ({"units": 4, "return_sequences": True}, (5, 3)),
    "GRU": ({"units": 4, "unroll": True}, (5, 3)),
    "RNN": ({"cell": {"units": 4}}, (5, 3)),
    "SimpleRNNCell": ({"units": 4}, (5, 3)),
    "LSTMCell": ({"units": 4}, (5, 3)),
    "GRUCell": ({"units": 4}, (5, 3)),
}
SELF_ATTENTION = ("MultiHeadAttention", "GroupQueryAttention")


def make(name, masked, **extra):
    """Return a layer of `keras.layers` or its masked twin."""
    arguments = {**CASES[name][0], **extra}
    if name == "RNN":
        arguments["cell"] = keras.layers.StackedRNNCells(
            [
                keras.layers.LSTMCell(3, dtype=extra.get("dtype")),
                keras.layers.GRUCell(4, dtype=extra.get("dtype")),
            ],
            dtype=extra.get("dtype"),
        )
    module, prefix = (layers, "Masked") if masked else (keras.layers, "")
    layer = getattr(module, prefix + name)(**arguments)
    if name.endswith("Cell"):
        # A cell alone is computed in a plain loop.
        layer = keras.layers.RNN(layer, dtype=extra.get("dtype"))
    return layer


def model_of(layer, name, batch_size=None):
    inputs = keras.Input(CASES[name][1], batch_size=batch_size)
    attention = name in SELF_ATTENTION
    outputs = layer(inputs, inputs) if attention else layer(inputs)
    return keras.Model(inputs, outputs)


def build_pair(name, policy="float32"):
    """Return a masked layer with a random mask, its dense twin, an input."""
    random = np.random.default_rng(0)
    model, twin = (
        model_of(make(name, masked, dtype=policy), name, batch_size=4)
        for masked in (True, False)
    )
    kernels = masked_kernels(model)
    for kernel in kernels:
        kernel.mask.assign(random.random(kernel.mask.shape) < 0.5)
    products = {
        id(kernel.weight): np.asarray(kernel.weight) * np.asarray(kernel.mask)
        for kernel in kernels
    }
    for source, target in zip(
        model.trainable_variables, twin.trainable_variables, strict=True
    ):
        target.assign(products.get(id(source), np.asarray(source)))
    inputs = random.normal(size=(4, *CASES[name][1])).astype("float32")
    if name.endswith("Embedding"):
        inputs = random.integers(7, size=inputs.shape)
    return model, twin, inputs


def every_layer(function):
    return pytest.mark.parametrize("name", sorted(CASES))(function)


def test_every_exported_layer_has_a_case():
    exported = {name for name in layers.__all__ if name != "Masked"}
    masked = {name for name in exported if name.startswith("Masked")}
    assert masked == {f"Masked{name}" for name in CASES}


@every_layer
@pytest.mark.parametrize("policy", POLICIES)
def test_equals_the_dense_layer_with_zeros_bit_for_bit(name, policy):
    model, twin, inputs = build_pair(name, policy)
    np.testing.assert_array_equal(
        tf.cast(model(inputs), tf.float32), tf.cast(twin(inputs), tf.float32)
    )


@every_layer
@pytest.mark.parametrize("policy", POLICIES)
def test_weights_that_are_zero_stay_zero_in_fit(name, policy):
    model, _, inputs = build_pair(name, policy)
    kernels = masked_kernels(model)
    for kernel in kernels:
        kernel.weight.assign(kernel.weight * kernel.mask)
    before = [np.array(kernel.weight) for kernel in kernels]
    # A graph once; the other types eagerly, which needs no tracing.
    eagerly = policy != "float32"
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "mse", run_eagerly=eagerly)
    targets = np.ones(model(inputs).shape, "float32")
    model.fit(inputs, targets, batch_size=4, epochs=2, verbose=0)
    for kernel, old in zip(kernels, before, strict=True):
        inactive = np.asarray(kernel.mask) == 0
        assert not np.asarray(kernel.weight)[inactive].any()
        assert (np.asarray(kernel.weight) != old).any()


@every_layer
def test_gradient_of_a_masked_weight_is_masked(name):
    model, twin, inputs = build_pair(name)
    for (gradient, mask), dense in zip(
        _gradients(model, inputs), _twin_gradients(twin, inputs), strict=True
    ):
        np.testing.assert_allclose(gradient, dense * mask, atol=1e-6)


@every_layer
def test_straight_through_gradient_is_that_of_the_effective_kernel(name):
    model, twin, inputs = build_pair(name)
    with straight_through([k.layer for k in masked_kernels(model)]):
        gradients = _gradients(model, inputs)
        np.testing.assert_allclose(model(inputs), twin(inputs), atol=1e-6)
    for (gradient, _), dense in zip(
        gradients, _twin_gradients(twin, inputs), strict=True
    ):
        np.testing.assert_allclose(gradient, dense, rtol=1e-5, atol=1e-6)


def _gradients(model, inputs):
    kernels = masked_kernels(model)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs) ** 2)
    gradients = tape.gradient(loss, [kernel.weight.value for kernel in kernels])
    return [
        (gradient.numpy(), np.asarray(kernel.mask))
        for gradient, kernel in zip(gradients, kernels, strict=True)
    ]


def _twin_gradients(twin, inputs):
    variables = [
        variable
        for variable in twin.trainable_variables
        if variable.name.endswith(("kernel", "embeddings"))
    ]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(twin(inputs) ** 2)
    # Those of embeddings are slices.
    return [
        tf.convert_to_tensor(gradient).numpy()
        for gradient in tape.gradient(loss, [v.value for v in variables])
    ]


@every_layer
def test_saved_model_keeps_masks_and_inactive_weights(name, tmp_path):
    model, _, inputs = build_pair(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for old, new in zip(
        masked_kernels(model), masked_kernels(loaded), strict=True
    ):
        np.testing.assert_array_equal(old.weight, new.weight)
        np.testing.assert_array_equal(old.mask, new.mask)
    np.testing.assert_array_equal(model(inputs), loaded(inputs))


@every_layer
def test_config_makes_an_equal_layer(name):
    model, _, _ = build_pair(name)
    layer = model.layers[-1]
    copy = type(layer).from_config(layer.get_config())
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()


@every_layer
def test_clone_model_keeps_the_class(name):
    model, _, inputs = build_pair(name)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert type(clone.layers[-1]) is type(model.layers[-1])
    np.testing.assert_array_equal(model(inputs), clone(inputs))


@every_layer
def test_build_signature_is_that_of_the_keras_layer(name):
    masked = getattr(layers, f"Masked{name}")
    dense = getattr(keras.layers, name)
    assert inspect.signature(masked.build) == inspect.signature(dense.build)


@every_layer
def test_mask_starts_full_and_is_not_trained(name):
    model, _, _ = build_pair(name)
    layer = make(name, masked=True)
    kernels = masked_kernels(model_of(layer, name))
    trainable = {id(variable) for variable in layer.trainable_variables}
    for kernel in masked_kernels(model):
        assert kernel.mask.shape == kernel.weight.shape
    for kernel in kernels:
        assert np.asarray(kernel.mask).all()
        assert id(kernel.mask) not in trainable
        assert id(kernel.weight) in trainable


@every_layer
def test_lora_and_quantization_are_refused(name):
    model, _, _ = build_pair(name)
    for layer in {id(k.layer): k.layer for k in masked_kernels(model)}.values():
        assert isinstance(layer, Masked)
        with pytest.raises(ValueError, match="cb.strip"):
            layer.enable_lora(2)
        with pytest.raises(ValueError, match="cb.strip"):
            layer.quantize("int8")


def test_kernel_of_an_unbuilt_layer_says_to_build_it():
    with pytest.raises(AttributeError, match="build"):
        _ = layers.MaskedDense(3).kernel
