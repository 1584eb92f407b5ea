"""What a model costs, counted from its shapes and masks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import cb
from cb.costs import costs
from cb.errors import InputError


def sequential(*parts, shape):
    return keras.Sequential([keras.Input(shape), *parts])


def counted(model, **kwargs):
    return {layer.name: layer for layer in costs(model, **kwargs).layers}


def test_parameters_of_a_sparse_perceptron():
    model = cb.models.build("lenet_300_100", (28, 28, 1), 10)
    found = costs(
        cb.sparsify(model, {"hidden_1": 0.9, "hidden_2": 0.5, "logits": 0.0})
    )
    kernels = [23_520, 15_000, 1_000]
    assert [layer.weights.nonzero for layer in found.layers] == kernels
    assert [layer.macs for layer in found.layers] == kernels
    assert found.macs == sum(kernels)
    assert found.dense_macs == 235_200 + 30_000 + 1_000
    assert found.weights.biases == 410
    assert found.parameters == sum(kernels) + 410
    assert found.weights.total == 266_610
    # Biases everywhere, rectifiers at the hidden layers.
    assert found.flops == 2 * sum(kernels) + 410 + 400


def test_bytes_of_storage():
    model = sequential(layers.Dense(100), shape=(90,))
    weights = costs(cb.sparsify(model, 0.9)).weights
    assert weights.nonzero == 900
    assert weights.dense_bytes == 4 * (9_000 + 100)
    assert weights.csr_bytes == 900 * 8 + 101 * 4 + 400
    assert weights.bitmask_bytes == 900 * 4 + 9_000 // 8 + 400


LINEAR = {
    "dense": (layers.Dense(7), (5,)),
    "dense_on_a_sequence": (layers.Dense(4), (3, 5)),
    "einsum": (layers.EinsumDense("abc,cde->abde", (None, 2, 3)), (4, 5)),
    "einsum_ellipsis": (layers.EinsumDense("...c,cd->...d", (4, 3)), (4, 5)),
    "conv_1d": (layers.Conv1D(3, 3, strides=2, padding="causal"), (8, 2)),
    "conv_2d": (layers.Conv2D(4, 3, strides=2), (9, 8, 2)),
    "conv_2d_groups": (layers.Conv2D(4, 3, groups=2), (6, 6, 4)),
    "conv_2d_dilated": (layers.Conv2D(2, 3, dilation_rate=2), (7, 7, 2)),
    "conv_3d": (layers.Conv3D(2, 2), (4, 3, 3, 2)),
    "conv_1d_dilated": (layers.Conv1D(2, 3, dilation_rate=2), (9, 2)),
    "conv_3d_dilated": (layers.Conv3D(2, 2, dilation_rate=2), (4, 4, 3, 2)),
    "depthwise_dilated": (
        layers.DepthwiseConv2D(3, dilation_rate=2),
        (7, 7, 3),
    ),
    "depthwise": (layers.DepthwiseConv2D(3, depth_multiplier=2), (6, 5, 3)),
    "transposed": (layers.Conv2DTranspose(3, 3, strides=2), (4, 4, 2)),
}


def nonzero_derivatives(model):
    """Count how many pairs of an input and an output belong together.

    Without padding every weight joins as many pairs as it takes part in
    products, and a pair is joined by one weight.
    """
    size = int(np.prod(model.input_shape[1:]))
    basis = np.eye(size).reshape(size, *model.input_shape[1:])
    outputs = model.predict_on_batch(basis)
    return np.count_nonzero(outputs - model.predict_on_batch(0 * basis))


@pytest.mark.parametrize("kind", sorted(LINEAR))
def test_macs_of_linear_layers_are_their_nonzero_derivatives(kind):
    layer, shape = LINEAR[kind]
    model = sequential(type(layer).from_config(layer.get_config()), shape=shape)
    padded = 0
    if kind == "conv_1d":
        # The two zeros before the beginning meet three weights of the
        # first output.
        padded = 2 * 2 * 3
    found = costs(model)
    assert found.macs - padded == nonzero_derivatives(model)
    assert found.dense_macs == found.macs
    if padded:
        return
    sparse = cb.sparsify(model, 0.5)
    found = costs(sparse)
    assert found.macs == nonzero_derivatives(sparse)
    assert found.macs < found.dense_macs == costs(model).macs
    assert costs(cb.strip(sparse)).macs == found.macs


def test_separable_convolution_is_two_products():
    model = sequential(layers.SeparableConv2D(5, 3), shape=(8, 8, 4))
    assert costs(model).macs == 36 * (9 * 4 + 4 * 5)
    sparse = cb.sparsify(model, 0.5)
    active = costs(sparse).weights.nonzero
    assert costs(sparse).macs == 36 * active


@pytest.mark.parametrize(
    "layer,gates,others",
    [
        (layers.SimpleRNN, 1, 3),
        (layers.LSTM, 4, 17),
        (layers.GRU, 3, 17),
    ],
)
def test_recurrent_layers_multiply_by_every_weight_at_every_step(
    layer, gates, others
):
    steps, inputs, units = 6, 5, 4
    model = sequential(layer(units), shape=(steps, inputs))
    weights = gates * units * (inputs + units)
    found = costs(model)
    assert found.macs == steps * weights
    assert found.flops == 2 * found.macs + steps * others * units
    sparse = cb.sparsify(model, 0.5)
    assert costs(sparse).macs == steps * costs(sparse).weights.nonzero
    assert costs(sparse).weights.nonzero == weights // 2


def test_stacked_and_bidirectional_cells():
    cells = [layers.LSTMCell(3), layers.GRUCell(2)]
    model = sequential(layers.Bidirectional(layers.RNN(cells)), shape=(7, 4))
    each = 4 * 3 * (4 + 3) + 3 * 2 * (3 + 2)
    assert costs(model).macs == 2 * 7 * each


def test_attention_multiplies_data_by_data_too():
    steps, keys, width, heads, size = 6, 9, 8, 2, 4
    query, value = keras.Input((steps, width)), keras.Input((keys, width))
    attention = layers.MultiHeadAttention(heads, size, name="attention")
    model = keras.Model([query, value], attention(query, value))
    found = counted(model)
    projected = width * heads * size
    assert found["attention/query"].macs == steps * projected
    assert found["attention/key"].macs == keys * projected
    assert found["attention/value"].macs == keys * projected
    assert found["attention/attention_output"].macs == steps * projected
    assert found["attention"].macs == 2 * heads * steps * keys * size
    sparse = counted(cb.sparsify(model, 0.75))
    query_weights = sparse["attention/query"].weights.nonzero
    assert sparse["attention/query"].macs == steps * query_weights
    assert sparse["attention"].macs == found["attention"].macs


def test_arithmetic_besides_products():
    model = sequential(
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
        layers.MaxPooling2D(2, name="max"),
        layers.Flatten(name="flatten"),
        layers.Softmax(name="softmax"),
        shape=(4, 4, 3),
    )
    found = counted(model)
    assert found["norm"].flops == 2 * 48
    assert found["norm"].weights.normalization == 6
    assert found["norm"].weights.statistics == 6
    assert found["norm"].weights.total == 6
    assert found["relu"].flops == 48
    assert found["max"].flops == 48
    assert "flatten" not in found
    assert found["softmax"].flops == 5 * 12


class Residual(layers.Layer):
    def __init__(self):
        super().__init__(name="residual")
        self.inner = layers.Dense(6, name="inner")

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.mix = self.add_weight(shape=(6, 6), name="mix")

    def call(self, x):
        return x + keras.ops.matmul(self.inner(x), self.mix)


class Network(keras.Model):
    def __init__(self):
        super().__init__(name="network")
        self.block = Residual()

    def call(self, x):
        return self.block(self.block(x))


def test_subclassed_models_and_layers_of_ones_own():
    model = Network()
    model(np.zeros((2, 6), np.float32))
    found = counted(model)
    assert found["residual/inner"].macs == 2 * 36
    assert found["residual"].macs == 2 * 36
    assert found["residual"].flops == 2 * (2 * 36 + 6)
    assert found["residual"].weights.kernels == 36


def test_nested_and_shared_models():
    inner = sequential(layers.Dense(4, name="shared"), shape=(4,))
    outer = sequential(inner, layers.ReLU(), inner, shape=(4,))
    assert counted(outer)["shared"].macs == 2 * 16
    assert costs(outer).weights.kernels == 16


class Strange(layers.Layer):
    def call(self, x):
        return keras.ops.cholesky(x)


def test_what_is_not_known_is_named():
    model = sequential(Strange(name="strange"), layers.Dense(2), shape=(3, 3))
    found = costs(model)
    assert found.unknown == {"strange": ("Cholesky",)}
    assert "NOT COUNTED: Cholesky in strange" in str(found)
    loop = sequential(layers.ConvLSTM1D(2, 2, name="loop"), shape=(3, 5, 2))
    assert list(costs(loop).unknown) == ["loop/conv_lstm_cell"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16"])
def test_counts_do_not_depend_on_the_type(dtype):
    # Few random numbers of a small type are zero, but some are.
    options = {"dtype": dtype, "kernel_initializer": "ones"}
    parts = [layers.Conv2D(3, 2, **options), layers.Dense(2, **options)]
    model = sequential(*parts, shape=(4, 4, 1))
    weights = 4 * 3 + 3 * 2
    found = costs(model)
    assert found.macs == 9 * 4 * 3 + 9 * 3 * 2
    item = 4 if dtype == "mixed_float16" else 2
    assert found.weights.dense_bytes == item * (weights + 5)


def test_quantized_and_frozen_kernels():
    layer = layers.Dense(4, kernel_initializer="ones")
    model = sequential(layer, layers.Dense(2, trainable=False), shape=(3,))
    layer.quantize("int8")
    found = costs(model)
    assert found.macs == found.weights.kernels == 12 + 8
    assert found.weights.biases == 6


class Spectrum(layers.Layer):
    def call(self, x):
        frequencies = tf.signal.fft(tf.cast(x, "complex64"))
        return tf.cast(frequencies, "float32")


class Winner(layers.Layer):
    def call(self, x):
        # A comparison an entry, and another with the threshold.
        return tf.one_hot(tf.argmax(x, axis=-1), 5) * tf.cast(x > 0.5, x.dtype)


def test_arithmetic_whose_results_are_no_real_numbers_counts_too():
    model = sequential(Spectrum(name="spectrum"), shape=(8,))
    assert costs(model).unknown == {"spectrum": ("FFT",)}
    found = costs(sequential(Winner(name="winner"), shape=(5,)))
    assert not found.unknown
    assert found.flops == 5 + 5 + 5


def test_models_of_any_size_need_a_shape():
    model = sequential(layers.Conv2D(2, 3), shape=(None, None, 1))
    with pytest.raises(InputError, match="input_shape"):
        costs(model)
    assert costs(model, input_shape=(8, 8, 1)).macs == 36 * 18
    for shape in ((8, 8, 3), (8, 8), 8, "abc", [(8, 8, 1), (2,)], [None]):
        with pytest.raises(InputError, match=r"fits \[\(None, None, 1\)\]"):
            costs(model, input_shape=shape)


def test_a_kernel_that_two_layers_hold_counts_once():
    inner = layers.Dense(3, name="inner")
    model = sequential(layers.SpectralNormalization(inner), shape=(4,))
    assert costs(model).parameters == 4 * 3 + 3
    assert counted(model)["spectral_normalization/inner"].weights.kernels == 12


def test_bad_arguments():
    model = sequential(layers.Dense(2, name="one"), shape=(3,))
    with pytest.raises(InputError, match="Expected one of"):
        costs(model, convention="published")
    with pytest.raises(InputError, match=r"'two': 0.5.*'one'\]"):
        costs(model, densities={"two": 0.5})
    for density in (1.5, "half", None):
        with pytest.raises(InputError, match=f"'one': {density!r}, and the"):
            costs(model, densities={"one": density})
    with pytest.raises(InputError, match="must be built"):
        costs(keras.Sequential([layers.Dense(2)]))
    with pytest.raises(InputError, match="must be a Keras model"):
        costs("model.keras")


def test_nothing_of_the_model_changes(two_replicas):
    with two_replicas.scope():
        model = cb.sparsify(
            sequential(
                layers.Dense(4),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                shape=(3,),
            ),
            0.5,
        )
    before = [variable.numpy() for variable in model.variables]
    found = costs(model)
    assert found.macs == found.weights.nonzero == 6
    assert all(
        np.array_equal(old, new.numpy())
        for old, new in zip(before, model.variables, strict=True)
    )
    assert all("call" not in layer.__dict__ for layer in model.layers)
