"""Loaded exports take what a user has, and refuse what does not fit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.errors import InputError
from cb.export.loaded_model import LoadedModel
from cb.export.loading import _read

layers = keras.layers


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Return a model and functions on its kernels and on its graph."""
    model = keras.Sequential(
        [
            keras.Input((3, 4), name="pixels"),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(5),
        ]
    )
    model = cb.sparsify(model, 0.9)
    path = str(tmp_path_factory.mktemp("loaded") / "sparse")
    cb.export.save(model, path, "sparse", batch_sizes=[2])
    kernels, graph = (LoadedModel(*_read(path), []) for _ in range(2))
    graph._run[2] = graph._graph
    kernels._run[2] = lambda arrays: kernels.execute(
        arrays["pixels"], lambda *_: "numba"
    )
    return model, (kernels, graph)


FORMS = {
    "float64": lambda x: x.astype("float64"),
    "list": lambda x: x.tolist(),
    "list of arrays": list,
    "tensor": tf.constant,
    "by name": lambda x: {"pixels": x},
    "big-endian": lambda x: x.astype(">f4"),
    "other order": np.asfortranarray,
    "every other": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_inputs_may_come_in_any_form(form, loaded):
    model, functions = loaded
    x = np.random.default_rng(0).normal(size=(5, 3, 4)).astype("float32")
    for function in functions:
        found = function(FORMS[form](x))
        np.testing.assert_allclose(found, model(x), atol=1e-5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 3, 5)), r"'pixels' must have the shape \(None, 3, 4\)"),
        (np.zeros((2, 12)), r"Received: \(2, 12\)"),
        (np.zeros((3, 4)), r"Received: \(3, 4\)"),
        (3.0, r"Received: \(\)"),
        ("image", "'pixels' must be an array of float32. Received: str"),
        ({"image": np.zeros((2, 3, 4))}, r"keys \['pixels'\].*'image'"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x, message, loaded):
    for function in loaded[1]:
        with pytest.raises(InputError, match=message):
            function(x)


def test_several_inputs_are_asked_for_by_name(tmp_path):
    inputs = [keras.Input((4,), name=name) for name in ("a", "b")]
    model = keras.Model(inputs, layers.Dense(2)(layers.Add()(inputs)))
    cb.export.save(model, str(tmp_path / "two"))
    function = cb.export.load(str(tmp_path / "two"))
    x = np.ones((3, 4), "float32")
    with pytest.raises(InputError, match=r"keys \['a', 'b'\].*list"):
        function([x, x])
    with pytest.raises(InputError, match=r"examples each.*\[2, 3\]"):
        function({"a": x, "b": x[:2]})
    found = function({"b": x.tolist(), "a": 2 * x})
    np.testing.assert_allclose(found, model([2 * x, x]), atol=1e-6)


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_batches_of_an_export_are_never_fixed(form, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((6,), batch_size=4),
            layers.Dense(64, "relu"),
            layers.Dense(2),
        ]
    )
    model = cb.sparsify(model, 0.9)
    path = str(tmp_path / form)
    cb.export.save(model, path, form, batch_sizes=[1])
    function = cb.export.load(path, batch_sizes=[1])
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    for number in (1, 4):
        expected = np.array(model(x))[:number]
        np.testing.assert_allclose(function(x[:number]), expected, atol=1e-5)


def test_a_saved_model_that_cannot_be_called_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(InputError, match="signature 'serving_default'"):
        cb.export.load(str(tmp_path))


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"not a model")
    with pytest.raises(InputError, match="SavedModel that can be read"):
        cb.export.load(str(tmp_path))


def test_steps_of_another_version_are_left_to_the_graph(tmp_path):
    model = keras.Sequential([keras.Input((30,)), layers.Dense(40)])
    model = cb.sparsify(model, 0.9)
    path = str(tmp_path / "sparse")
    cb.export.save(model, path, "sparse", batch_sizes=[2])
    file = tmp_path / "sparse" / "assets.extra" / "cb_steps.json"
    assert LoadedModel(*_read(path), []).has_steps
    file.write_text(file.read_text().replace('"version": 1', '"version": 2'))
    function = cb.export.load(path, batch_sizes=[2])
    assert not function.has_steps
    x = np.ones((2, 30), "float32")
    np.testing.assert_allclose(function(x), model(x), atol=1e-5)
