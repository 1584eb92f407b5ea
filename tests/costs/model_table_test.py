"""The table of a model's layers with their active parameters."""

import keras
import pytest

import cb
from cb.errors import InputError


def dense_model():
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Reshape((36, 4))(x)
    x = layers.Bidirectional(layers.LSTM(4), name="both")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x), name="mixed")


def rows(model):
    """Return the cells of the table by layer."""
    texts = []
    cb.summary(model, texts.append)
    title, header, *lines = texts[0].splitlines()
    assert title == f"Model: {model.name}"
    assert header.split()[-3:] == ["parameters", "active", "density"]
    return {line.split()[0]: line.split() for line in lines}


def test_masks_are_no_parameters_and_inactive_weights_not_active():
    model = dense_model()
    report = []
    sparse = cb.sparsify(model, 0.8, report=report.append)
    inactive = sum(row.weights - row.active for row in report[0].masked)
    found = rows(sparse)
    total, active = (int(cell.replace(",", "")) for cell in found["total"][1:3])
    assert total == model.count_params()
    assert active == total - inactive
    assert found["conv"][1] == "MaskedConv2D"
    assert found["norm"][-1] == "1.0000"
    # The same kernels, their zeros folded in.
    assert rows(cb.strip(sparse))["total"] == found["total"]


def test_a_dense_model_is_all_active():
    model = dense_model()
    total = f"{model.count_params():,}"
    assert rows(model)["total"] == ["total", total, total, "1.0000"]


def test_csr_kernels_count_as_the_matrices_they_stand_for():
    inputs = keras.Input((20,))
    outputs = keras.layers.Dense(40, name="wide")(inputs)
    sparse = cb.sparsify(keras.Model(inputs, outputs), 0.9)
    csr = cb.to_csr(sparse, max_density=1.0, min_size=1)
    assert rows(csr)["total"] == ["total", "840", "120", "0.1429"]
    assert rows(csr)["wide"][1] == "SparseDense"


def test_a_model_that_is_not_built_is_refused():
    with pytest.raises(InputError, match="a Keras model that is built"):
        cb.summary(keras.Sequential([keras.layers.Dense(3)]))
