"""Quantized Keras models."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.engine import NAME
from cb.errors import InputError

layers = keras.layers


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((10, 10, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    y = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same")(x))
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.MaxPooling2D(2)(x)
    outputs = layers.Dense(5, "softmax")(layers.Flatten()(x))
    return cb.sparsify(
        keras.Model(inputs, outputs),
        0.5,
        granularity="block(rows=4, columns=1)",
    )


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return random.normal(size=(48, 10, 10, 3)).astype("float32")


def test_outputs_are_near_and_come_back_from_a_file(model, images, tmp_path):
    network = cb.export.quantize(model, images)
    found = network(images)
    expected = model.predict(images, verbose=0)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.05
    network.save(str(tmp_path / "exported"))
    predict = cb.export.load(str(tmp_path / "exported"))
    np.testing.assert_array_equal(predict(images), found)


def parts(x, *widths):
    return layers.Concatenate()([layers.Dense(width)(x) for width in widths])


ENDS = {
    "parts of four": lambda x: parts(x, 4, 4),
    "parts of any size": lambda x: parts(x, 3, 4, 2),
    "softmax of parts": lambda x: layers.Softmax()(parts(x, 5, 6)),
    "softmax, reshaped": lambda x: layers.Reshape((6,))(
        layers.Dense(6, "softmax")(x)
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_outputs_are_near_whatever_is_at_the_end(end):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16,))
    x = layers.Dense(32, "relu")(inputs)
    model = keras.Model(inputs, ENDS[end](x))
    x = np.random.default_rng(0).normal(size=(64, 16)).astype("float32")
    expected, found = model(x).numpy(), cb.export.quantize(model, x)(x)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_batches_and_datasets_give_the_same_network(model, images):
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(16)
    labelled = dataset.map(lambda x: (x, x[:, 0, 0, 0]))
    whole, *others = (
        cb.export.quantize(model, data, 100)(images)
        for data in (images, [images[:20], images[20:]], dataset, labelled)
    )
    for found in others:
        np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x[:7], "at least 8 examples. Received: 7"),
        (lambda x: [], "at least 8 examples. Received: 0"),
        (lambda x: None, "array of examples.*Received: data='NoneType'"),
        (lambda x: x[0], "batches of shape"),
        (lambda x: x[..., :2], "batches of shape"),
        (lambda x: np.arange(48), "batches of shape"),
        (lambda x: x * np.nan, "finite"),
        (lambda x: x / 0, "finite"),
        (lambda x: x.astype(str), "array of examples"),
        (lambda x: (x, np.zeros(48)), "batches of shape"),
    ],
)
@pytest.mark.filterwarnings("ignore:.* encountered in divide")
def test_bad_data_is_refused_in_a_line(model, images, change, message):
    with pytest.raises(InputError, match=message) as raised:
        cb.export.quantize(model, change(images))
    assert "Argument `data` must" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("percentile", [0, 50, 101, "99", None])
def test_the_percentile_is_checked(model, images, percentile):
    with pytest.raises(InputError, match="`percentile` must be in"):
        cb.export.quantize(model, images, percentile)


def test_the_form_is_what_quantize_makes(model, images, tmp_path):
    path = str(tmp_path / "exported")
    form = "engine_int8"
    written = cb.export.save(model, path, form, representative=images)
    assert written == form
    assert os.listdir(path) == [NAME]
    expected = cb.export.quantize(model, images)(images)
    np.testing.assert_array_equal(cb.export.load(path)(images), expected)
    with pytest.raises(InputError, match="`representative` must be"):
        cb.export.save(model, path, form)
    assert os.listdir(path) == [NAME]


def test_auto_says_why_a_network_has_no_form_in_bytes(images, tmp_path):
    padded = keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            layers.AveragePooling2D(3, padding="same"),
            layers.GlobalMaxPooling2D(),
        ]
    )
    path = str(tmp_path / "exported")
    found = cb.export.compare(
        padded, path, batch_sizes=[1], representative=images
    )
    assert "engine" in {row.form for row in found.rows}
    assert [*found.left_out] == ["engine_int8"]
    assert "form in bytes" in found.left_out["engine_int8"]


def test_models_that_the_engine_does_not_have_are_refused(images):
    two = keras.Model(
        [first := keras.Input((4,)), second := keras.Input((4,))],
        layers.Dense(2)(layers.Concatenate()([first, second])),
    )
    with pytest.raises(InputError, match="one input and one output"):
        cb.export.quantize(two, images)
    recurrent = keras.Sequential([keras.Input((5, 3)), layers.LSTM(4)])
    with pytest.raises(InputError, match="no kernel for layer"):
        cb.export.quantize(recurrent, images[:, :5, 0])
