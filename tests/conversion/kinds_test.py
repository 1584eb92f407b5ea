"""Models of every kind: recurrent, attention, wrapped, custom, subclassed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.conversion import sparsify_layers
from cb.errors import InputError
from cb.layers.masked import Masked
from cb.layers.masked import masked_kernels
from cb.layers.traversal import ordered_layers


def transformer():
    tokens = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(20, 8, name="embed")(tokens)
    attended = keras.layers.MultiHeadAttention(2, 4, name="attend")(x, x)
    x = keras.layers.LayerNormalization()(x + attended)
    hidden = keras.layers.Dense(16, activation="relu", name="up")(x)
    x = keras.layers.LayerNormalization()(
        x + keras.layers.Dense(8, name="down")(hidden)
    )
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, keras.layers.Dense(3, name="head")(x))


def sequence_model():
    inputs = keras.Input((6, 5))
    x = keras.layers.TimeDistributed(keras.layers.Dense(4))(inputs)
    x = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))(
        x
    )
    cells = [keras.layers.GRUCell(3), keras.layers.LSTMCell(4)]
    x = keras.layers.RNN(cells, return_sequences=True)(x)
    x = keras.layers.GRU(4, return_sequences=True)(x)
    x = keras.layers.SimpleRNN(4)(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def lstm_model():
    inputs = keras.Input((6, 5))
    x = keras.layers.LSTM(4)(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def nested_wrapper():
    block = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4)])
    inputs = keras.Input((6, 5))
    x = keras.layers.TimeDistributed(block)(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def inputs_of(model):
    random = np.random.default_rng(0)
    shape = (4, *model.input_shape[1:])
    if model.inputs[0].dtype == "int32":
        return random.integers(0, 20, shape)
    return random.normal(size=shape).astype("float32")


MODELS = {
    "transformer": (transformer, 7),
    "sequence_model": (sequence_model, 14),
    "nested_wrapper": (nested_wrapper, 2),
}


def with_zeros(model, sparse):
    """Zero in the dense model what the sparse one masks, by position."""
    dense = ordered_layers(model)
    for kernel in masked_kernels(sparse):
        position, name = kernel.key.split("/")
        weight = getattr(dense[int(position)], name)
        weight.assign(weight * kernel.mask)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_any_model_goes_sparse_and_back(name, tmp_path):
    make, number = MODELS[name]
    model = make()
    sparse = cb.sparsify(model, 0.5, seed=1)
    kernels = masked_kernels(sparse)
    assert len(kernels) == number
    active = sum(np.count_nonzero(kernel.mask) for kernel in kernels)
    assert active == round(sum(np.size(k.mask) for k in kernels) / 2)
    inputs = inputs_of(model)
    with_zeros(model, sparse)
    np.testing.assert_allclose(sparse(inputs), model(inputs), atol=1e-6)

    for kernel in kernels:
        kernel.weight.assign(kernel.weight * kernel.mask)
    sparse.compile("adam", "mse")
    sparse.fit(inputs, np.ones((4, 3)), batch_size=4, verbose=0)
    for kernel in kernels:
        inactive = np.asarray(kernel.mask) == 0
        assert not np.asarray(kernel.weight)[inactive].any()

    sparse.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(inputs), sparse(inputs), atol=1e-6)
    plain = cb.strip(loaded)
    np.testing.assert_allclose(plain(inputs), sparse(inputs), atol=1e-6)
    modules = {type(layer).__module__ for layer in ordered_layers(plain)}
    assert not any(module.startswith("cb") for module in modules)


def test_an_embedding_is_left_dense_and_reported():
    reports = []
    cb.sparsify(transformer(), 0.5, report=reports.append)
    rows = {row.name: row.reason for row in reports[0].rows}
    assert rows["embed"] == "dense unless it is included by name"
    assert rows["attend/query"] == ""


def test_families_name_the_layers_inside_others():
    names = [
        kernel.name
        for kernel in masked_kernels(
            cb.sparsify(transformer(), {"attention": 0.5})
        )
    ]
    assert names == [
        f"attend/{part}"
        for part in ("query", "key", "value", "attention_output")
    ]
    kernels = masked_kernels(cb.sparsify(sequence_model(), "recurrent=0.5"))
    assert len(kernels) == 12


@pytest.mark.parametrize("make", [transformer, lstm_model])
def test_connections_move_in_every_kind_of_layer(make):
    model = cb.sparsify(make(), 0.5, "uniform")
    inputs = inputs_of(model)
    pairs = (inputs, np.ones((4, 3), "float32"))
    batches = tf.data.Dataset.from_tensor_slices(pairs).batch(4)
    spec = "rigl(every=1, end=1.0, decay='constant', regrow_dropped=False)"
    callback = cb.callbacks.Reallocation(spec, dataset=batches)
    before = [np.array(kernel.mask) for kernel in masked_kernels(model)]
    model.compile("adam", "mse")
    model.fit(inputs, pairs[1], verbose=0, shuffle=False, callbacks=[callback])
    for kernel, old in zip(masked_kernels(model), before, strict=True):
        mask = np.asarray(kernel.mask)
        assert np.count_nonzero(mask) == np.count_nonzero(old)
        moved = int(round(0.3 * np.count_nonzero(old), 9))
        assert np.count_nonzero(mask > old) == moved
        assert not np.asarray(kernel.weight)[mask == 0].any()


@keras.saving.register_keras_serializable("test")
class Gate(keras.layers.Layer):
    """A user's layer whose config does not hold its layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(4, "sigmoid", name="dense")

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        return inputs * self.dense(inputs)


@keras.saving.register_keras_serializable("test")
class Subclassed(keras.Model):
    """A user's model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embed = keras.layers.Dense(4, name="embed")
        self.gate = Gate()
        self.read = keras.layers.LSTM(3)
        self.head = keras.layers.Dense(2, name="head")

    def call(self, inputs):
        return self.head(self.read(self.gate(self.embed(inputs))))


def test_layers_inside_a_custom_layer_are_masked_and_reported():
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(2, name="out")(Gate(name="gate")(inputs))
    reports = []
    cb.sparsify(keras.Model(inputs, outputs), 0.5, report=reports.append)
    rows = {row.name: row.reason for row in reports[0].rows}
    assert [*rows] == ["gate/dense", "out"]
    assert not any(rows.values())


def test_a_subclassed_model_is_changed_in_place(tmp_path):
    model = Subclassed()
    inputs = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    with pytest.raises(InputError, match="must be built"):
        sparsify_layers(model, 0.5)
    model.compile("sgd", "mse")
    model.fit(inputs, np.ones((4, 2)), verbose=0)
    twin = Subclassed()
    twin(inputs)
    twin.set_weights(model.get_weights())

    assert sparsify_layers(model, 0.5, exclude="head", seed=1) is model
    kernels = masked_kernels(model)
    assert len(kernels) == 4
    assert not isinstance(model.head, Masked)
    with_zeros(twin, model)
    np.testing.assert_allclose(model(inputs), twin(inputs), atol=1e-6)

    for kernel in kernels:
        kernel.weight.assign(kernel.weight * kernel.mask)
    model.compile("adam", "mse")
    model.fit(inputs, np.ones((4, 2)), verbose=0)
    for kernel in kernels:
        inactive = np.asarray(kernel.mask) == 0
        assert not np.asarray(kernel.weight)[inactive].any()

    model.save_weights(tmp_path / "model.weights.h5")
    loaded = Subclassed()
    loaded(inputs)
    sparsify_layers(loaded, 0.5, exclude="head", seed=1)
    loaded.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(loaded(inputs), model(inputs))


def test_in_place_refuses_what_is_sparse_already():
    model = cb.sparsify(transformer(), 0.5)
    with pytest.raises(InputError, match="sparse already"):
        sparsify_layers(model, 0.5)


def test_only_models_can_be_sparse():
    with pytest.raises(InputError, match="must be a Keras model"):
        cb.sparsify(keras.layers.Dense(3), 0.5)
