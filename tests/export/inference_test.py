"""An export is inference, whatever layers do unless they are told."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.errors import RunError
from cb.export.runtimes import LiteModel
from tests.commands import run

X = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")


class Sampling(keras.layers.Layer):
    """Draws at inference too, as the bottleneck of a variational network."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(1)

    def call(self, inputs):
        shape = keras.ops.shape(inputs)
        return inputs + keras.random.normal(shape, seed=self.generator)


class Unseeded(keras.layers.Layer):
    """Draws what no state describes."""

    def call(self, inputs):
        return inputs + tf.random.normal(tf.shape(inputs))


def sparse_model(*layers):
    inputs = x = keras.Input((8, 8, 3))
    for layer in layers:
        x = layer(x)
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    # Dropout that the graph asks to be on; a call for inference wins.
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x), training=True)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    return cb.sparsify(model, 0.5)


def augmented():
    pipeline = keras.Sequential([keras.layers.RandomFlip("horizontal")])
    return sparse_model(
        pipeline, keras.layers.RandomRotation(0.2), keras.layers.MixUp()
    )


@pytest.fixture(scope="module")
def model():
    return augmented()


@pytest.mark.parametrize("form", ["dense", "compact", "sparse"])
def test_augmentation_in_a_model_is_off_in_its_export(model, form, tmp_path):
    expected = model.predict(X, verbose=0)
    states = [np.array(variable) for variable in model.variables]
    cb.export.save(model, str(tmp_path / "export"), form=form)
    # An export does not change what the model draws next.
    for before, variable in zip(states, model.variables, strict=True):
        np.testing.assert_array_equal(before, variable)
    saved = tf.saved_model.load(str(tmp_path / "export"))
    loaded = cb.export.load(str(tmp_path / "export"), [16])
    for _ in range(2):
        (found,) = saved.signatures["serving_default"](tf.constant(X)).values()
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(loaded(X), expected, atol=1e-5)


def test_augmentation_is_off_in_a_file_for_litert(model, tmp_path):
    cb.export.save_lite(model, str(tmp_path / "model.tflite"))
    found = LiteModel((tmp_path / "model.tflite").read_bytes())(X)
    np.testing.assert_allclose(found, model.predict(X, verbose=0), atol=2e-2)


@pytest.mark.parametrize("form", ["dense", "compact", "sparse"])
def test_draws_at_inference_continue_in_the_export(form, tmp_path):
    model = sparse_model(Sampling())
    cb.export.save(model, str(tmp_path / "export"), form=form)
    saved = tf.saved_model.load(str(tmp_path / "export"))
    drawn = []
    for _ in range(2):
        (found,) = saved.signatures["serving_default"](tf.constant(X)).values()
        expected = np.array(model(X, training=False))
        np.testing.assert_allclose(found, expected, atol=1e-5)
        drawn.append(expected)
    assert not np.allclose(*drawn)


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(RunError, match="differs"):
        cb.export.save(sparse_model(Unseeded()), str(tmp_path / "export"))


class Own(keras.Model):
    """A model whose `call` does not say whether it trains."""

    def __init__(self):
        super().__init__()
        self.augment = keras.layers.RandomFlip("horizontal")
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(self.flatten(self.augment(inputs)))


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_a_model_that_does_not_know_of_training_is_told(form, tmp_path):
    model = Own()
    model(X)
    expected = model.dense(model.flatten(X))
    cb.sparsify_layers(model, 0.0)
    cb.export.save(model, str(tmp_path / "export"), form=form)
    loaded = cb.export.load(str(tmp_path / "export"), [16])
    np.testing.assert_allclose(loaded(X), expected, atol=1e-5)


FILE = """
import cb
import keras


@cb.models.REGISTRY.register("augmented")
def augmented(input_shape, num_classes):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.RandomRotation(0.1),
            keras.layers.Flatten(),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dense(num_classes),
        ]
    )
"""


def test_a_run_with_such_a_model_finishes(tmp_path):
    (tmp_path / "augmented.py").write_text(FILE)
    code, _, errors = run(
        "train.py",
        "--model=augmented.py",
        "--sparsity=0.5",
        "--reallocation=static",
        "--epochs=1",
        "--run_dir=run",
        folder=tmp_path,
    )
    assert (code, errors) == (0, "")
    assert (tmp_path / "run" / "export" / "saved_model.pb").exists()
