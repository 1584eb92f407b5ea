"""Models that their own class makes go sparse, to files and back."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import cb
from cb.layers.masked import Masked
from cb.layers.masked import masked_kernels
from cb.layers.traversal import ordered_layers


@keras.saving.register_keras_serializable("own_classes")
class Block(keras.layers.Layer):
    """A layer that makes its layers itself."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.first = keras.layers.Dense(self.units, "relu", name="first")
        self.first.build(input_shape)
        self.second = keras.layers.Dense(self.units, name="second")
        self.second.build((*input_shape[:-1], self.units))

    def call(self, inputs):
        return self.second(self.first(inputs))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("own_classes")
class Subclassed(keras.Model):
    """A list of blocks and a variable of its own."""

    def __init__(self, units=8, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.blocks = [Block(units, name="a"), Block(units, name="b")]
        self.head = keras.layers.Dense(3, name="head")

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(self.units,), name="scale")
        for block in self.blocks:
            block.build(input_shape)
        self.head.build(input_shape)

    def call(self, inputs, training=False):
        x = inputs
        for block in self.blocks:
            x = x + block(x)
        return self.head(x * self.scale)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("own_classes")
class OwnConstructor(keras.Model):
    """A functional class in the style of KerasHub."""

    def __init__(self, width=8, **kwargs):
        self.block = Block(width, name="block")
        self.last = keras.layers.Dense(3, name="last")
        inputs = keras.Input((width,))
        super().__init__(inputs, self.last(self.block(inputs)), **kwargs)
        self.width = width
        self.weight = 1.0

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return self.weight * ops.mean(ops.square(y - y_pred))

    def get_config(self):
        return {"width": self.width, "name": self.name}


def subclassed():
    model = Subclassed()
    model.build((None, 8))
    return model


def own_constructor():
    model = OwnConstructor()
    model.weight = 100.0
    return model


def around_a_layer():
    inputs = keras.Input((8,))
    outputs = keras.layers.Dense(3)(Block(8, name="block")(inputs))
    return keras.Model(inputs, outputs)


MODELS = [subclassed, own_constructor, around_a_layer]
X = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
Y = X[:, :3]


def without_inactive(model, sparse):
    """Zero in a dense model what is inactive in its sparse copy."""
    layers = ordered_layers(model)
    for kernel in masked_kernels(sparse):
        position, name = kernel.key.split("/")
        variable = getattr(layers[int(position)], name)
        variable.assign(variable * kernel.mask)


@pytest.mark.parametrize("make", MODELS)
class TestEveryKind:
    def test_full_masks_change_nothing(self, make):
        model = make()
        sparse = cb.sparsify(model, 0.0)
        np.testing.assert_array_equal(model(X), sparse(X))
        assert not masked_kernels(model)
        assert isinstance(sparse, type(model))

    def test_all_kernels_are_masked_and_multiply(self, make):
        model = make()
        sparse = cb.sparsify(model, 0.5, seed=3)
        dense = [
            layer
            for layer in ordered_layers(model)
            if isinstance(layer, keras.layers.Dense)
        ]
        assert len(masked_kernels(sparse)) == len(dense)
        without_inactive(model, sparse)
        np.testing.assert_array_equal(model(X), sparse(X))

    @pytest.mark.parametrize("algorithm", ["set(every=1)", "rigl(every=1)"])
    def test_trains_saves_and_goes_back(self, make, algorithm, tmp_path):
        sparse = cb.sparsify(make(), 0.5)
        sparse.compile("sgd", "mse")
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
        data = data if algorithm.startswith("rigl") else None
        callback = cb.callbacks.Reallocation(algorithm, dataset=data)
        sparse.fit(
            X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[callback]
        )
        outputs = sparse(X)
        path = str(tmp_path / "model.keras")
        sparse.save(path)
        loaded = keras.models.load_model(path)
        np.testing.assert_array_equal(outputs, loaded(X))
        for one, other in zip(
            masked_kernels(sparse), masked_kernels(loaded), strict=True
        ):
            assert one.key == other.key
            np.testing.assert_array_equal(one.mask, other.mask)
        plain = cb.strip(loaded)
        np.testing.assert_array_equal(outputs, plain(X))
        assert not any(isinstance(one, Masked) for one in ordered_layers(plain))
        plain.save(path)
        again = keras.models.load_model(path)
        np.testing.assert_array_equal(outputs, again(X))

    def test_strips_in_place(self, make):
        sparse = cb.sparsify_layers(make(), 0.5)
        outputs = sparse(X)
        kinds = {type(layer).__name__ for layer in ordered_layers(make())}
        assert cb.strip_layers(sparse) is sparse
        np.testing.assert_array_equal(outputs, sparse(X))
        assert {type(one).__name__ for one in ordered_layers(sparse)} == kinds
        assert not any("mask" in one.path for one in sparse.variables)
        sparse.compile("sgd", "mse")
        sparse.fit(X, Y, verbose=0)

    def test_exports_sparse(self, make, tmp_path):
        model = cb.sparsify(make(), 0.9)
        expected = np.asarray(model(X))
        for form in ("dense", "compact", "sparse"):
            path = str(tmp_path / form)
            cb.export.save(model, path, form=form)
            signature = tf.saved_model.load(path).signatures["serving_default"]
            (name,) = signature.structured_input_signature[1]
            (found,) = signature(**{name: tf.constant(X)}).values()
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_layers_inside_are_stored_sparse():
    from cb.export.graph import trace
    from cb.export.products import product

    model = cb.sparsify(subclassed(), 0.9)
    graph = trace(cb.export.compact(model))
    stored = [call for call in graph.calls if product(call)]
    assert len(stored) == len(masked_kernels(model))


def test_patterns_reach_layers_inside():
    sparse = cb.sparsify(subclassed(), 0.5, include="a/*")
    assert [kernel.name for kernel in masked_kernels(sparse)] == [
        "a/first",
        "a/second",
    ]


def test_settings_follow():
    model = own_constructor()
    model.block.trainable = False
    copy = cb.strip(cb.sparsify(model, 0.0))
    assert copy.weight == 100.0
    assert not copy.block.trainable


class Backbone(keras.Model):
    """A functional class whose call is not that of its graph."""

    def __init__(self, width=8, **kwargs):
        inputs = keras.Input((width,))
        block = Block(width, name="block")
        super().__init__(inputs, block(inputs), **kwargs)
        self.block = block
        self.width = width

    def call(self, inputs, training=None, mask=None):
        return 2.0 * super().call(inputs, training, mask)

    def get_config(self):
        return {"width": self.width}


def test_a_model_around_another_keeps_its_class(tmp_path):
    inputs = keras.Input((8,))
    around = keras.Sequential([Backbone(name="inner"), keras.layers.Dense(4)])
    model = keras.Model(inputs, around(inputs))
    sparse = cb.sparsify(model, 0.5)
    assert len(masked_kernels(sparse)) == 3
    inner = sparse.layers[-1].layers[0]
    assert isinstance(inner, Backbone)
    assert inner.block is ordered_layers(inner)[2]
    outputs = sparse(X)
    with keras.saving.custom_object_scope({"Backbone": Backbone}):
        sparse.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X), outputs)
    plain = cb.strip(sparse)
    assert type(plain.layers[-1].layers[0]) is Backbone
    np.testing.assert_array_equal(plain(X), outputs)
    small = cb.export.compact(sparse)
    np.testing.assert_allclose(small(X), outputs, atol=1e-5)


def test_an_opened_model_is_saved_and_loaded(tmp_path):
    small = cb.export.compact(cb.sparsify(subclassed(), 0.5))
    small.save(tmp_path / "small.keras")
    loaded = keras.models.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(loaded(X), small(X))


@keras.saving.register_keras_serializable("own_classes")
class Optional(Block):
    """A block with a layer that it does not call."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.spare = keras.layers.Dense(units, name="spare")


def test_masks_are_loaded_beside_layers_that_nothing_calls(tmp_path):
    inputs = keras.Input((4,))
    model = cb.sparsify(keras.Model(inputs, Optional(4)(inputs)), 0.5)
    path = tmp_path / "spare.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(loaded(x), model(x))
    pairs = zip(masked_kernels(loaded), masked_kernels(model), strict=True)
    for new, old in pairs:
        np.testing.assert_array_equal(new.mask, old.mask)
