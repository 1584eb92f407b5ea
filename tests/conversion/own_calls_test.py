"""What the own call of a model computes with goes with it to its copies."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import cb
from cb.errors import InputError
from cb.layers.traversal import ordered_layers

X = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")


@keras.saving.register_keras_serializable("own_classes")
class Settings(keras.Model):
    """Computes with settings that users change."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(4)
        self.history_length = self._gain = 1.0
        self.window, self.scales = (1.0,), [1.0, {"a": 1.0}]

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs):
        factor = self.history_length * self._gain * self.window[0]
        return (
            factor * self.scales[0] * self.scales[1]["a"] * self.dense(inputs)
        )


@pytest.mark.parametrize(
    "change",
    [
        {"history_length": 3.0},
        {"_gain": 3.0},
        {"window": (3.0,)},
        {"scales": [3.0, {"a": 1.0}]},
        {"scales": [1.0, {"a": 3.0}]},
    ],
)
def test_settings_of_every_kind_follow(change):
    model = Settings()
    model.build((None, 3))
    for name, value in change.items():
        setattr(model, name, value)
    x = np.ones((2, 3), "float32")
    copy = cb.sparsify(model, 0.0)
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-6)


class OfTheBatch(keras.Model):
    """Computes something else for a single example."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(4)

    def call(self, inputs):
        outputs = self.dense(inputs)
        return outputs + 1.0 if inputs.shape[0] == 1 else outputs


class OfTensorFlow(keras.Model):
    """Calls TensorFlow."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(4)

    def call(self, inputs):
        return self.dense(tf.nn.relu(inputs))


class OfTokens(keras.Model):
    """Takes integers."""

    def __init__(self):
        super().__init__()
        self.embedding = keras.layers.Embedding(2, 4)
        self.dense = keras.layers.Dense(4)

    def call(self, inputs):
        return self.dense(self.embedding(inputs))


def test_what_depends_on_the_batch_is_refused():
    model = OfTheBatch()
    model(X)
    with pytest.raises(InputError, match="size of the batch"):
        cb.export.compact(cb.sparsify(model, 0.5))


def test_tensorflow_operations_are_refused_in_one_line(tmp_path):
    model = OfTensorFlow()
    model(X)
    sparse = cb.sparsify(model, 0.5)
    with pytest.raises(InputError, match="cannot be opened"):
        cb.export.compact(sparse)
    assert cb.export.save(sparse, str(tmp_path / "dense")) == "dense"
    np.testing.assert_array_equal(cb.strip(sparse)(X), sparse(X))


def test_types_that_are_not_known_are_asked_for():
    model = OfTokens()
    tokens = np.array([[0, 1, 1]], "int32")
    model(tokens)
    with pytest.raises(InputError, match="`inputs` is needed"):
        cb.export.compact(model)
    small = cb.export.compact(model, inputs=tokens)
    assert small.input.dtype == "int32"
    np.testing.assert_allclose(small(tokens), model(tokens), atol=1e-6)


class Linear(keras.layers.Layer):
    """A layer that its configuration does not describe."""

    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units))

    def call(self, inputs):
        return ops.matmul(inputs, self.w)


class OfAll(keras.Model):
    """A variable and a product of its own, tied, random in training."""

    def __init__(self):
        super().__init__()
        self.augment = keras.layers.GaussianNoise(1.0)
        self.first = keras.layers.Dense(6, name="first")
        self.linear = Linear(6)
        self.steps = self.add_weight(shape=(), dtype="int32", trainable=False)

    def build(self, input_shape):
        self.token = self.add_weight(shape=(1, 6), name="token")
        self.first.build(input_shape["x"])
        self.linear.build((None, 6))

    def call(self, inputs, training=None):
        self.steps.assign_add(1)
        x = inputs["x"]
        if training:
            x = self.augment(x)
        x = self.linear(self.first(x) + self.token)
        return {"y": ops.matmul(x, ops.transpose(self.first.kernel))}


def test_what_is_no_layer_is_carried(tmp_path):
    model = OfAll()
    model({"x": X})
    sparse = cb.sparsify(model, 0.5)
    expected = sparse({"x": X})["y"]
    steps = int(sparse.steps)
    small = cb.export.compact(sparse)
    assert int(sparse.steps) == steps + 2  # two comparisons
    np.testing.assert_allclose(small({"x": X})["y"], expected, atol=1e-5)
    sparse.token.assign_add(sparse.token)
    np.testing.assert_allclose(small({"x": X})["y"], expected, atol=1e-5)
    assert not any(layer._inbound_nodes for layer in ordered_layers(sparse))
