"""The LiteRT form is small and computes the same."""

import keras
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.export.lite import run_lite

layers = keras.layers


def test_half_precision_is_kept_and_dead_units_are_gone(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(200, "relu"),
            layers.Dense(5),
        ]
    )
    model = cb.sparsify(model, 0.99, "uniform")
    path = tmp_path / "model.tflite"
    cb.export.save_lite(model, str(path))
    plain, small = cb.strip(model), cb.export.compact(model)
    assert small.count_params() < 0.9 * plain.count_params()
    # Two bytes a weight, and some for the graph.
    assert path.stat().st_size < 2 * small.count_params() + 4096
    x = np.random.default_rng(0).normal(size=(9, 8, 8, 2)).astype("float32")
    found = run_lite(path.read_bytes(), x)
    np.testing.assert_allclose(found, model(x), atol=5e-3)


def test_several_inputs_are_refused(tmp_path):
    inputs = [keras.Input((2,)), keras.Input((2,))]
    model = keras.Model(inputs, layers.Add()(inputs))
    with pytest.raises(InputError, match="one input and one output"):
        cb.export.save_lite(model, str(tmp_path / "model.tflite"))
    for other in (None, keras.Sequential([layers.Dense(2)])):
        with pytest.raises(InputError, match="a Keras model|no weights yet"):
            cb.export.save_lite(other, str(tmp_path / "model.tflite"))


def test_an_output_may_have_a_name(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, {"scores": layers.Dense(2)(inputs)})
    path = tmp_path / "model.tflite"
    cb.export.save_lite(model, str(path))
    x = np.ones((2, 3), "float32")
    expected = model(x)["scores"]
    np.testing.assert_allclose(
        run_lite(path.read_bytes(), x), expected, atol=1e-2
    )


def test_integers_go_in(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((7,), dtype="int32"),
            layers.Embedding(50, 8),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3),
        ]
    )
    path = tmp_path / "model.tflite"
    cb.export.save_lite(model, str(path))
    x = np.random.default_rng(0).integers(0, 50, (4, 7), "int32")
    found = run_lite(path.read_bytes(), x)
    np.testing.assert_allclose(found, model(x), atol=1e-3)


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    (tmp_path / "taken").mkdir()
    for name in ("none/here/model.tflite", "taken"):
        with pytest.raises(InputError, match="`path` must be a file"):
            cb.export.save_lite(model, str(tmp_path / name))
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]
