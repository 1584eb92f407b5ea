"""All kinds of models come out of an export as they went in."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.errors import InputError
from cb.export import checking

layers = keras.layers


def images(number, shape):
    random = np.random.default_rng(number)
    return random.normal(size=(number, *shape)).astype("float32")


def test_several_inputs_and_outputs_go_by_name(tmp_path):
    inputs = {name: keras.Input((6,), name=name) for name in ("b", "a")}
    x = layers.Dense(30, "relu")(layers.Concatenate()([*inputs.values()]))
    outputs = {"y": layers.Dense(3)(x), "z": layers.Dense(2)(x)}
    model = cb.sparsify(keras.Model(inputs, outputs), 0.8)
    x = {name: images(4, (6,)) + len(name) for name in inputs}
    for form in ("dense", "sparse"):
        path = str(tmp_path / form)
        cb.export.save(model, path, form, batch_sizes=[2])
        found = cb.export.load(path, batch_sizes=[2])(x)
        for name, value in model(x).items():
            np.testing.assert_allclose(found[name], value, atol=1e-5)


def test_images_of_any_size_and_low_precision_come_out(tmp_path):
    for dtype in ("float32", "mixed_bfloat16"):
        inputs = keras.Input((None, None, 2))
        x = layers.Conv2D(8, 3, activation="relu", dtype=dtype)(inputs)
        x = layers.Conv2D(16, 1, activation="relu", dtype=dtype)(x)
        x = layers.GlobalMaxPooling2D()(x)
        model = keras.Model(inputs, layers.Dense(2)(x))
        model = cb.sparsify(model, 0.8)
        path = str(tmp_path / dtype)
        cb.export.save(model, path, "sparse", batch_sizes=[1])
        x = images(2, (9, 7, 2))
        found = checking.inputs_for(
            tf.saved_model.load(path).signatures["serving_default"]
        )
        assert len(found) == 1
        tolerance = 1e-5 if dtype == "float32" else 0.05
        found = cb.export.load(path, batch_sizes=[1])(x)
        np.testing.assert_allclose(found, model(x), atol=tolerance)


def test_deep_networks_on_images_of_any_size_are_given_large_ones(tmp_path):
    parts = [layers.MaxPooling2D(8), layers.Conv2D(2, 9)]
    model = keras.Sequential([keras.Input((None, None, 3)), *parts])
    path = str(tmp_path / "deep")
    cb.export.save(model, path)
    x = images(1, (80, 80, 3))
    found = cb.export.load(path)(x)
    np.testing.assert_allclose(found, model(x), atol=1e-5)


class Twice(layers.Layer):
    """Cannot be made again from a configuration."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, inputs):
        """Return a multiple of the inputs."""
        return self.factor * inputs


def test_layers_that_cannot_be_made_again_come_out_dense(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(20)])
    model.add(Twice(2))
    cb.sparsify_layers(model, 0.5)
    path = str(tmp_path / "own")
    cb.export.save(model, path)
    x = images(3, (4,))
    np.testing.assert_allclose(cb.export.load(path)(x), model(x), atol=1e-5)
    with pytest.raises(InputError, match="cannot be cloned"):
        cb.export.save(model, path, "sparse")


@pytest.mark.parametrize("form", ["dense", "compact", "sparse"])
def test_lambdas_keep_their_functions(form, tmp_path):
    twice = layers.Lambda(lambda x: 2 * x)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(20), twice])
    model = cb.sparsify(model, 0.5)
    path = str(tmp_path / "lambda")
    cb.export.save(model, path, form)
    x = images(3, (4,))
    np.testing.assert_allclose(cb.export.load(path)(x), model(x), atol=1e-5)


def test_texts_go_in(tmp_path):
    words = layers.TextVectorization(vocabulary=["a", "b"])
    model = keras.Sequential(
        [
            keras.Input((1,), dtype="string"),
            words,
            layers.Embedding(4, 3),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )
    path = str(tmp_path / "texts")
    x = np.array([["a b"], ["b c"]])
    for form in ("dense", "compact"):
        cb.export.save(model, path, form)
        found = cb.export.load(path)(x)
        np.testing.assert_allclose(found, model(tf.constant(x)), atol=1e-6)
    with pytest.raises(InputError, match=f"'{words.name}' holds a table"):
        cb.export.save(model, path, "sparse")


def test_floats_may_stand_for_indices(tmp_path):
    model = keras.Sequential(
        [keras.Input((9,)), layers.Embedding(2, 8), layers.Flatten()]
    )
    model.add(layers.Dense(4))
    model = cb.sparsify(model, 0.9)
    path = str(tmp_path / "indices")
    cb.export.save(model, path, "sparse", batch_sizes=[64])
    x = np.random.default_rng(0).integers(0, 2, (64, 9)).astype("float32")
    found = cb.export.load(path, batch_sizes=[64])(x)
    np.testing.assert_allclose(found, model(x), atol=1e-5)


def test_masks_of_steps_reach_what_needs_them(tmp_path):
    words = keras.Input((7,), dtype="int32", name="words-1")
    embedded = layers.Embedding(50, 16, mask_zero=True)(words)
    dense = layers.Dense(64, "relu")(embedded)
    both = [keras.ops.max(dense, axis=1)]
    both += [layers.LSTM(8)(embedded), layers.LSTM(8)(dense)]
    model = keras.Model(words, layers.Dense(3)(layers.Concatenate()(both)))
    model = cb.sparsify(model, 0.7)
    x = np.random.default_rng(0).integers(0, 3, (6, 7)).astype("int32")
    for form in ("dense", "sparse"):
        path = str(tmp_path / form)
        cb.export.save(model, path, form, batch_sizes=[6])
        found = cb.export.load(path, batch_sizes=[6])(x)
        np.testing.assert_allclose(found, model(x), atol=1e-5)
        saved = tf.saved_model.load(path)
        assert [*checking.inputs_for(saved.signatures["serving_default"])] == [
            "words_1"
        ]


def test_a_head_in_full_precision_takes_halves(tmp_path):
    inputs = keras.Input(batch_shape=(8, 30))
    x = layers.Dense(64, "relu", dtype="mixed_bfloat16")(inputs)
    model = keras.Model(inputs, layers.Dense(4, dtype="float32")(x))
    model = cb.sparsify(model, 0.7)
    cb.export.save(model, str(tmp_path / "a"), "sparse", batch_sizes=[8])
    x = images(8, (30,))
    found = cb.export.load(str(tmp_path / "a"), batch_sizes=[8])(x)
    np.testing.assert_allclose(found, model(x), atol=0.02)


class Two(keras.Model):
    """A subclassed model of two tensors, one of them of integers."""

    def __init__(self):
        super().__init__()
        self.words = layers.Embedding(5, 6)
        self.first = layers.Dense(6, "relu")
        self.last = layers.Dense(2)

    def call(self, numbers, words, training=False):
        """Return logits."""
        x = self.first(numbers) + keras.ops.mean(self.words(words), axis=1)
        return self.last(x)


@pytest.mark.parametrize("form", ["dense", "compact", "sparse"])
def test_models_of_several_arguments(form, tmp_path):
    model = Two()
    x = {"numbers": images(3, (4,)), "words": np.array([[1, 2]] * 3)}
    model(**x)
    cb.sparsify_layers(model, 0.5)
    path = str(tmp_path / "two")
    with pytest.raises(InputError, match="several.*'numbers', 'words'"):
        cb.export.save(model, path, form)
    cb.export.save(model, path, form, inputs=x)
    saved = tf.saved_model.load(path).signatures["serving_default"]
    (found,) = saved(**{k: tf.constant(v) for k, v in x.items()}).values()
    np.testing.assert_allclose(found, model(**x), atol=1e-5)


class Scaled(layers.Layer):
    """Takes a tensor and a number by name; cannot be made again."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, inputs, others=None, power=1):
        """Return a multiple of the inputs."""
        return self.factor * inputs * others**power


def test_layers_are_shared_with_tensors_and_numbers_by_name(tmp_path):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(6), layers.Dense(2)
            self.scaled = Scaled(2.0)

        def call(self, inputs):
            x = self.first(inputs)
            return self.last(self.scaled(x, others=x, power=2))

    model = Model()
    x = images(3, (4,))
    model(x)
    cb.sparsify_layers(model, 0.5)
    path = str(tmp_path / "shared")
    cb.export.save(model, path, "compact")
    np.testing.assert_allclose(cb.export.load(path)(x), model(x), atol=1e-5)


def test_reshapes_of_two_sizes_that_vary(tmp_path):
    class Steps(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(6), layers.Dense(2)

        def call(self, inputs):
            x = self.first(inputs)
            batch, steps = keras.ops.shape(x)[:2]
            x = keras.ops.reshape(x, (batch, steps, 2, 3))
            x = keras.ops.transpose(x, (0, 2, 1, 3))
            x = keras.ops.transpose(x, (0, 2, 1, 3))
            return self.last(keras.ops.reshape(x, (batch, steps, -1)))

    model = Steps()
    x = images(3, (5, 4))
    model(x)
    cb.sparsify_layers(model, 0.5)
    path = str(tmp_path / "steps")
    cb.export.save(model, path, "compact", inputs=keras.Input((None, 4)))
    np.testing.assert_allclose(cb.export.load(path)(x), model(x), atol=1e-5)


@pytest.mark.parametrize("form", ["dense", "compact"])
def test_reshapes_to_the_size_of_the_batch(form, tmp_path):
    class Heads(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = layers.Dense(6)
            self.last = layers.Dense(2)

        def call(self, inputs):
            x = self.first(inputs)
            batch = keras.ops.shape(x)[0]
            x = keras.ops.reshape(x, (batch, -1, 3))
            bias = keras.ops.broadcast_to(inputs[:1, :3], (batch, 3))
            x = x + keras.ops.reshape(bias, (batch, 1, 3))
            return self.last(keras.ops.reshape(x, (batch, 6)))

    model = Heads()
    x = images(3, (4,))
    model(x)
    cb.sparsify_layers(model, 0.5)
    path = str(tmp_path / "heads")
    cb.export.save(model, path, form)
    found = cb.export.load(path)(x)
    np.testing.assert_allclose(found, model(x), atol=1e-5)


def test_sizes_that_only_the_caller_knows_are_asked_for(tmp_path):
    positions = layers.Dense(3)
    model = keras.Sequential([keras.Input((None, 3)), positions, Five()])
    path = str(tmp_path / "five")
    with pytest.raises(InputError, match="No inputs were found.*`inputs`"):
        cb.export.save(model, path)
    x = images(2, (5, 3))
    cb.export.save(model, path, inputs=x)
    np.testing.assert_allclose(cb.export.load(path)(x), model(x), atol=1e-5)


class Five(layers.Layer):
    """Adds five numbers to five steps."""

    def call(self, inputs):
        """Return the sums."""
        return inputs + keras.ops.arange(5, dtype="float32")[:, None]

    def compute_output_shape(self, input_shape):
        """Return the shape of the inputs."""
        return input_shape
