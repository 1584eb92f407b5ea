"""Copies keep the class of a model and what it holds beside its graph."""

import keras
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.layers.copying import copy_model
from cb.layers.copying import copy_model_state
from cb.layers.masked import masked_kernels

X = np.random.default_rng(0).normal(size=(6, 8)).astype("float32")


class Weighted(keras.Sequential):
    """A Sequential class with a loss of its own."""

    factor = 1.0

    def compute_loss(self, x=None, y=None, y_pred=None, *args, **kwargs):
        return self.factor * keras.ops.mean((y - y_pred) ** 2)


class Scaled(keras.Model):
    """A functional class with an argument of its own."""

    def __init__(self, *args, alpha=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.alpha = alpha


class Everything(keras.Model):
    """A functional class with all that a training step may use."""

    def __init__(self, name=None, **kwargs):
        self.body = keras.layers.Dense(4)
        inputs = keras.Input((8,))
        hidden = self.body(inputs)
        outputs = keras.layers.Dense(3)(hidden)
        super().__init__(inputs, outputs, name=name)
        self.encoder = keras.Model(inputs, hidden)
        self.hidden = hidden
        self.head = keras.layers.Dense(2)
        self.head.build((None, 4))
        self.augment = keras.Sequential([keras.layers.GaussianNoise(0.1)])
        self.augment.build((None, 8))
        self.tracker = keras.metrics.Mean(name="own")
        self.temperature = self.add_weight(shape=(), initializer="ones")
        self.generator = keras.random.SeedGenerator(3)
        self.by_name = {"blocks": [self.body], "units": (4, 3)}
        self.read = self.temperature_now

    def temperature_now(self):
        return float(self.temperature)


def dense(*units):
    inputs = x = keras.Input((8,))
    for number in units:
        x = keras.layers.Dense(number)(x)
    return inputs, x


def test_a_sequential_class_keeps_its_loss():
    model = Weighted([keras.Input((8,)), keras.layers.Dense(3)])
    model.factor = 10.0
    y = np.zeros((6, 3), "float32")
    for copy in (cb.sparsify(model, 0.0), cb.strip(model)):
        copy.compile("sgd")
        expected = 10 * np.mean(np.asarray(model(X)) ** 2)
        assert type(copy) is Weighted
        np.testing.assert_allclose(
            copy.evaluate(X, y, verbose=0), expected, rtol=1e-5
        )


def test_an_argument_of_the_class_is_kept():
    inner = Scaled(*dense(4), alpha=7.0)
    inputs = keras.Input((8,))
    model = Scaled(inputs, keras.layers.Dense(2)(inner(inputs)), alpha=5.0)
    copy = cb.strip(cb.sparsify(model, 0.5))
    assert (copy.alpha, copy.layers[1].alpha) == (5.0, 7.0)
    assert type(copy.layers[1]) is Scaled


def test_attributes_are_those_of_the_copy():
    model = Everything()
    model.temperature.assign(3.0)
    model.tracker.update_state(5.0)
    model.generator.next()
    copy = cb.sparsify(model, 0.0)
    np.testing.assert_array_equal(copy(X), model(X))
    assert copy.encoder.layers[1] is copy.body is copy.layers[1]
    assert copy.by_name == {"blocks": [copy.body], "units": (4, 3)}
    assert copy.hidden is copy.body.output
    assert [len(part.weights) for part in (copy, model)] == [9, 7]
    np.testing.assert_array_equal(copy.head.kernel, model.head.kernel)
    np.testing.assert_array_equal(copy.generator.state, model.generator.state)
    assert float(copy.tracker.result()) == 5.0
    # Nothing is shared with the original.
    ids = {id(variable) for variable in model.variables}
    assert not ids & {id(variable) for variable in copy.variables}
    copy.temperature.assign(9.0)
    copy.tracker.reset_state()
    assert (copy.read(), model.read()) == (9.0, 3.0)
    assert float(model.tracker.result()) == 5.0


def test_all_variables_of_a_copy_can_be_brought_up_to_date():
    model = Everything()
    copy = copy_model(model)
    for variable in model.trainable_variables:
        variable.assign_add(keras.ops.ones_like(variable))
    copy_model_state(model, copy)
    for old, new in zip(model.variables, copy.variables, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_file_that_would_load_dense_is_refused(tmp_path):
    file = str(tmp_path / "model.keras")
    sparse = cb.sparsify(Everything(), 0.5)
    compressed = cb.to_csr(sparse, max_density=0.6, min_size=1)
    with pytest.raises(InputError, match="class Everything would load"):
        compressed.save(file)
    for model in (sparse, cb.to_masked(compressed), cb.strip(compressed)):
        model.save(file)
        with keras.saving.custom_object_scope({"Everything": Everything}):
            loaded = keras.models.load_model(file)
        np.testing.assert_array_equal(loaded(X), sparse(X))
        assert len(masked_kernels(loaded)) == len(masked_kernels(model))
    sparse.save_weights(str(tmp_path / "sparse.weights.h5"))
    again = cb.sparsify(Everything(), 0.5, seed=1)
    again.load_weights(str(tmp_path / "sparse.weights.h5"))
    np.testing.assert_array_equal(again(X), sparse(X))


def test_an_attribute_that_cannot_be_copied_is_named():
    model = keras.Model(*dense(3))
    model.numbers = (number for number in range(3))
    with pytest.raises(InputError, match="attribute `numbers`"):
        cb.sparsify(model, 0.5)


def test_a_helper_beside_the_graph_stays_dense_and_follows():
    model = keras.Model(*dense(3))
    model.helper = keras.layers.Dense(2)
    model.helper.build((None, 8))
    sparse = cb.sparsify(model, 0.5)
    assert len(masked_kernels(sparse)) == 1
    np.testing.assert_array_equal(sparse.helper(X), model.helper(X))


def test_dropout_may_be_switched_off_before_the_copy():
    inputs = keras.Input((8,))
    layer = keras.layers.Dropout(0.5)
    model = keras.Model(inputs, keras.layers.Dense(3)(layer(inputs)))
    layer.rate = 0
    np.testing.assert_array_equal(
        cb.sparsify(model, 0.0)(X, training=True), model(X)
    )


@pytest.mark.parametrize("convert", [lambda m: cb.sparsify(m, 0.0), cb.strip])
def test_a_copy_trains_as_its_original_does(convert):
    inputs = keras.Input((8,))
    x = keras.layers.GaussianNoise(0.5)(keras.layers.Dense(6)(inputs))
    x = cb.layers.GhostBatchNormalization(3)(x)
    x = keras.layers.AlphaDropout(0.2)(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model(X, training=True)
    copy = convert(model)
    for training in (True, False, True):
        np.testing.assert_array_equal(
            copy(X, training=training), model(X, training=training)
        )
    moving = [it for it in model.variables if "moving" in it.path]
    copied = [it for it in copy.variables if "moving" in it.path]
    for old, new in zip(moving, copied, strict=True):
        np.testing.assert_array_equal(old, new)


class Nameless(keras.layers.Layer):
    """A layer whose configuration Keras derives from its constructor."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


def test_a_layer_without_a_configuration_of_its_own_keeps_its_name():
    inputs = keras.Input((8,))
    scaled = Nameless(3.0)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(scaled))
    copy = cb.sparsify(model, 0.0)
    assert [it.name for it in copy.layers] == [it.name for it in model.layers]
    np.testing.assert_array_equal(copy(X), model(X))


class Normalized(keras.Model):
    """A class that makes layers which a conversion replaces."""

    def __init__(self, name=None, **kwargs):
        inputs, x = dense(4)
        x = keras.layers.BatchNormalization()(x)
        super().__init__(inputs, keras.layers.Dense(3)(x), name=name)


def test_replaced_layers_of_a_class_are_not_lost_in_a_file(tmp_path):
    file = str(tmp_path / "model.keras")
    model = Normalized()
    ghosts = cb.layers.replace_batch_normalization(model, 2)
    csr = cb.to_csr(cb.sparsify(model, 0.5), max_density=1.0, min_size=1)
    for changed in (ghosts, csr, cb.sparsify(ghosts, 0.5)):
        assert isinstance(changed, Normalized)
        with pytest.raises(InputError, match="class Normalized would load"):
            changed.save(file)
