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
    assert path.stat().st_size < 2 * model.count_params() / 2
    x = np.random.default_rng(0).normal(size=(9, 8, 8, 2)).astype("float32")
    found = run_lite(path.read_bytes(), x)
    np.testing.assert_allclose(found, model(x), atol=5e-3)


def test_several_inputs_are_refused(tmp_path):
    inputs = [keras.Input((2,)), keras.Input((2,))]
    model = keras.Model(inputs, layers.Add()(inputs))
    with pytest.raises(InputError, match="one input and one output"):
        cb.export.save_lite(model, str(tmp_path / "model.tflite"))
