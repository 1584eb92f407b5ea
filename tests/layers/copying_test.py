"""Copies of models, which compute what their originals do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.errors import InputError
from cb.layers.copying import copy_model
from cb.layers.copying import copy_model_state
from cb.layers.copying import paired_layers


def random():
    return np.random.default_rng(0)


@keras.saving.register_keras_serializable("test")
class Scaled(keras.layers.Layer):
    """A user's layer whose state is a plain attribute."""

    factor = 1.0

    def call(self, inputs):
        return inputs * self.factor

    def save_own_variables(self, store):
        store["factor"] = np.array(self.factor)

    def load_own_variables(self, store):
        self.factor = float(store["factor"][()])


@keras.saving.register_keras_serializable("test")
class Derived(keras.layers.Layer):
    """A user's layer that computes a constant from its variable."""

    total = 0.0

    def build(self, input_shape):
        self.counts = self.add_weight(shape=(3,), trainable=False)

    def finalize_state(self):
        self.total = float(keras.ops.sum(self.counts))

    def call(self, inputs):
        return inputs + self.total


@keras.saving.register_keras_serializable("test")
class Listed(keras.layers.Layer):
    """A user's layer that keeps a file beside its variables."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.words = []

    def call(self, inputs):
        return inputs * len(self.words)

    def save_assets(self, folder):
        with open(f"{folder}/words", "w") as file:
            file.write(" ".join(self.words))

    def load_assets(self, folder):
        with open(f"{folder}/words") as file:
            self.words = file.read().split()


def adapted_normalization():
    layer = keras.layers.Normalization()
    layer.adapt(random().normal(5, 3, size=(100, 4)))
    return layer


def adapted_discretization():
    layer = keras.layers.Discretization(num_bins=4)
    layer.adapt(random().normal(size=(100, 4)))
    return layer


def scaled():
    layer = Scaled()
    layer.factor = 3.0
    return layer


def derived():
    layer = Derived()
    layer.build((None, 4))
    layer.counts.assign([1.0, 2.0, 3.0])
    layer.finalize_state()
    return layer


def listed():
    layer = Listed()
    layer.words = ["a", "b", "c"]
    return layer


STATEFUL = [
    adapted_normalization,
    adapted_discretization,
    scaled,
    derived,
    listed,
]


def head(x):
    return keras.layers.Dense(3)(keras.ops.cast(x, "float32"))


COPIES = {
    "sparsify": lambda model: cb.sparsify(model, 0.0),
    "strip": cb.strip,
    "tie": lambda model: cb.conversion.tie(model, 0.0),
    "compact": cb.export.compact,
    "copy_model": copy_model,
}


@pytest.mark.parametrize("copy", sorted(COPIES))
@pytest.mark.parametrize("make", STATEFUL)
def test_state_outside_of_variables_is_kept(make, copy):
    inputs = keras.Input((4,))
    layer = make()
    nested_inputs = keras.Input((4,))
    nested = keras.Model(nested_inputs, layer(nested_inputs))
    model = keras.Model(inputs, head(nested(inputs)))
    x = random().normal(size=(8, 4)).astype("float32")
    expected = np.asarray(model(x))
    copied = COPIES[copy](model)
    np.testing.assert_allclose(copied(x), expected, rtol=1e-6, atol=1e-6)


def test_tables_of_words_are_kept():
    layer = keras.layers.StringLookup(output_mode="one_hot")
    layer.adapt(["a", "b", "c"])
    inputs = keras.Input((1,), dtype="string")
    model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
    words = tf.constant([["a"], ["c"], ["unknown"]])
    np.testing.assert_array_equal(cb.sparsify(model, 0.0)(words), model(words))


class Unordered(keras.Model):
    """A functional class whose attributes are not in the graph's order."""

    def __init__(self):
        self.last = keras.layers.Dense(4)
        self.middle = keras.layers.Dense(4)
        self.first = keras.layers.Dense(4)
        self.unused = keras.layers.Dense(4)
        self.unused.build((None, 4))
        inputs = keras.Input((4,))
        x = keras.ops.relu(self.first(inputs))
        super().__init__(inputs, self.last(self.middle(x)))


@pytest.mark.parametrize("copy", sorted(COPIES))
def test_layers_are_paired_by_the_graph(copy):
    model = Unordered()
    x = random().normal(size=(8, 4)).astype("float32")
    np.testing.assert_allclose(
        COPIES[copy](model)(x), model(x), rtol=1e-5, atol=1e-6
    )


def test_a_layer_that_is_used_twice_is_copied_once():
    inputs = keras.Input((4,))
    layer = keras.layers.Dense(4)
    model = keras.Model(inputs, layer(layer(inputs)))
    copy = copy_model(model)
    assert len(copy.weights) == 2
    assert [*paired_layers(model, copy)] == [
        (model, copy),
        (model.layers[1], copy.layers[1]),
    ]
    np.testing.assert_array_equal(copy(np.eye(4)), model(np.eye(4)))


def test_seeds_are_copied():
    inputs = keras.Input((50,))
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs))
    model(np.ones((1, 50)), training=True)
    copy = copy_model(model)
    np.testing.assert_array_equal(
        copy(np.ones((1, 50)), training=True),
        model(np.ones((1, 50)), training=True),
    )


def test_a_copy_can_be_brought_up_to_date():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    sparse = cb.sparsify(model, 0.5)
    plain = cb.strip(sparse)
    sparse.layers[0].mask.assign(np.eye(4, 3))
    sparse.layers[0].bias.assign([1.0, 2.0, 3.0])
    copy_model_state(sparse, plain)
    np.testing.assert_array_equal(plain(np.eye(4)), sparse(np.eye(4)))


def test_a_layer_that_shares_a_kernel_is_refused_by_name():
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.SpectralNormalization(
        keras.layers.Conv2D(8, 3, name="inner"), name="spectral"
    )
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(InputError, match="'inner' and 'spectral' share"):
        cb.sparsify(model, 0.5)


@keras.saving.register_keras_serializable("copying")
class Rederived(keras.layers.Layer):
    """Derives a variable when it is loaded, and trains it."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=input_shape[1:], name="kernel")
        self.twice = self.add_weight(shape=input_shape[1:], name="twice")

    def call(self, inputs):
        return inputs * self.twice

    def save_own_variables(self, store):
        store["0"] = self.kernel

    def load_own_variables(self, store):
        self.kernel.assign(store["0"])
        self.twice.assign(2.0 * store["0"])


def test_what_a_layer_derives_is_copied_as_it_is():
    model = keras.Sequential([keras.Input((3,)), Rederived()])
    model.layers[0].twice.assign([1.0, 5.0, 7.0])
    x = np.ones((1, 3))
    np.testing.assert_array_equal(copy_model(model)(x), model(x))
