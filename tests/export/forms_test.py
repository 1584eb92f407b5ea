"""Every form is written whole, runs in its runtime and computes the same."""

import sys

import keras
import numpy as np
import pytest

import cb
from cb.costs.latency import Latency
from cb.errors import InputError
from cb.errors import RunError
from cb.export import forms
from cb.export import saving
from cb.export.measurement import Measured
from cb.export.measurement import take_turns

layers = keras.layers
X = np.random.default_rng(0).normal(size=(40, 8, 8, 4)).astype("float32")
# Written from the documentation: files, and parts of the largest output.
FILES = {
    "engine": (["cb_engine.npz"], 1e-5),
    "engine_int8": (["cb_engine.npz"], 0.05),
    "lite": (["model.tflite"], 1e-5),
    "lite_float16": (["model.tflite"], 5e-3),
    "lite_int8": (["model.tflite"], 0.05),
    "onnx": (["model.onnx"], 1e-5),
    "openvino": (["model.bin", "model.xml"], 1e-5),
}


@pytest.fixture(scope="module")
def model():
    dense = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(5, "softmax"),
        ]
    )
    return cb.sparsify(dense, 0.9, "uniform")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """Return a folder that takes one form after the other."""
    path = tmp_path_factory.mktemp("forms") / "export"
    cb.export.save(model, str(path))
    return path


@pytest.mark.parametrize("form", FILES)
def test_a_form_replaces_another_and_is_loaded(form, model, folder):
    files, tolerance = FILES[form]
    written = cb.export.save(model, str(folder), form, representative=X)
    assert written == form
    assert sorted(file.name for file in folder.iterdir()) == files
    assert [entry.name for entry in folder.parent.iterdir()] == ["export"]
    predict = cb.export.load(str(folder))
    expected = model(X).numpy()
    for x, y in ((X, expected), (X[:1], expected[:1])):
        atol = tolerance * np.abs(expected).max()
        np.testing.assert_allclose(predict(x), y, atol=atol)


WRONG = [
    (X[:, :5], r"shape \(None, 8, 8, 4\). Received: \(40, 5, 8, 4\)"),
    (X[0], r"Received: \(8, 8, 4\)"),
    (3.0, r"Received: \(\)"),
    ([["a"] * 4], "array of float32. Received: list"),
    ({"nothing": X}, r"keys \['\w+'\]. Received: \['nothing'\]"),
    (None, "array of float32|shape"),
]


@pytest.mark.parametrize("form", ["lite", "onnx", "openvino"])
def test_what_does_not_fit_is_refused_in_a_line(form, model, folder):
    cb.export.save(model, str(folder), form)
    predict = cb.export.load(str(folder))
    for x, message in WRONG:
        with pytest.raises(InputError, match=message) as caught:
            predict(x)
        assert "\n" not in str(caught.value)
    expected = model(X).numpy()
    by_name = {model.inputs[0].name: np.asfortranarray(X).astype(">f8")}
    for x in (X.tolist(), by_name):
        np.testing.assert_allclose(predict(x), expected, atol=1e-5)
    assert predict(X[:0]).shape == (0, 5)
    (file,) = folder.glob("model.[tox]*")
    file.write_bytes(b"<net")
    with pytest.raises(InputError, match="able to run the file") as caught:
        cb.export.load(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["lite", "onnx", "openvino"])
def test_sides_that_the_network_cannot_take_are_refused(form, tmp_path):
    any_side = keras.Sequential(
        [
            keras.Input((None, None, 4)),
            layers.Conv2D(16, 3),
            layers.GlobalAveragePooling2D(),
        ]
    )
    cb.export.save(any_side, str(tmp_path / "export"), form)
    predict = cb.export.load(str(tmp_path / "export"))
    expected = any_side(X[:2, :6]).numpy()
    np.testing.assert_allclose(predict(X[:2, :6]), expected, atol=1e-5)
    with pytest.raises(InputError, match="able to run the file") as caught:
        predict(X[:2, :1])
    assert "\n" not in str(caught.value)
    np.testing.assert_allclose(predict(X[:2, :6]), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16"])
@pytest.mark.parametrize("form", ["lite", "onnx", "openvino"])
def test_inputs_may_be_of_any_type(form, dtype, tmp_path):
    inputs = keras.Input((6,), dtype=dtype)
    x = layers.Rescaling(1 / 255)(inputs)
    pixels = keras.Model(inputs, layers.Dense(3)(x))
    cb.export.save(pixels, str(tmp_path / "export"), form)
    predict = cb.export.load(str(tmp_path / "export"))
    x = np.random.default_rng(0).integers(0, 256, (5, 6)).astype(dtype)
    expected = pixels(x).numpy()
    np.testing.assert_allclose(predict(x), expected, atol=1e-5)
    np.testing.assert_allclose(predict(x.tolist()), expected, atol=1e-5)
    if dtype == "uint8":
        with pytest.raises(InputError, match="must be an array of uint8"):
            predict([[300] * 6])


def test_a_name_of_a_file_is_one(model, tmp_path):
    path = tmp_path / "model.tflite"
    form = cb.export.save(model, str(path), "lite")
    assert form == "lite" and path.is_file()


def test_forms_that_cannot_be_written_leave_the_folder(model, folder):
    before = sorted(file.name for file in folder.iterdir())
    inputs = [keras.Input((2,)), keras.Input((2,))]
    two = keras.Model(inputs, layers.Add()(inputs))
    for form in ("lite", "onnx", "openvino"):
        with pytest.raises(InputError, match="one input and one output"):
            cb.export.save(two, str(folder), form)
    with pytest.raises(InputError, match="`representative` is needed"):
        cb.export.save(model, str(folder), "lite_int8")
    with pytest.raises(InputError, match="`goal`.*'money'"):
        cb.export.save(model, str(folder), "auto", goal="money")
    with pytest.raises(InputError, match="form.*'auto'"):
        cb.export.compare(model, str(folder), "dense", beside=["auto"])
    assert sorted(file.name for file in folder.iterdir()) == before


def test_every_form_reads_the_examples_of_a_generator(model, tmp_path):
    x = np.random.default_rng(0).normal(size=(64, *model.input_shape[1:]))
    found = cb.export.compare(
        model,
        str(tmp_path / "export"),
        "auto",
        representative=(x[n : n + 8] for n in range(0, 64, 8)),
    )
    forms = {row.form for row in found.rows}
    assert {"lite_int8", "engine_int8"} <= forms


@pytest.mark.parametrize("name", ["onnxruntime", "tf2onnx", "openvino"])
def test_a_package_that_is_missing_is_named(name, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    form = "openvino" if name == "openvino" else "onnx"
    with pytest.raises(InputError, match=f"`pip install {name}`") as caught:
        cb.export.save(model, str(tmp_path / "a"), form)
    assert "\n" not in str(caught.value)
    assert not [*tmp_path.iterdir()]


def test_the_smallest_form_is_the_smallest(model, tmp_path):
    path = str(tmp_path / "export")
    found = cb.export.compare(
        model, path, batch_sizes=[1], representative=X, goal="size"
    )
    rows = found.rows
    assert {row.form for row in rows} == {*forms.FORMS}
    sizes = {row.form: row.size for row in rows}
    assert sizes[found.form] == min(sizes.values()) < 0.5 * sizes["lite"] + 4096
    assert not found.left_out
    labels = {row.label for row in rows}
    assert labels - {*forms.FORMS} == {"sparse, in cb"}
    for row in rows:
        assert row.latencies[1].median > 0 and row.latencies[1].calls >= 15
    runtimes = {row.form: row.runtime for row in rows}
    assert runtimes["lite"].startswith("ai-edge-litert 2.")
    assert runtimes["onnx"].startswith("onnxruntime 1.")


def measured(form, size, median, accuracy=None):
    return Measured(
        form, size, {1: Latency(median, 0, 0, 15, 2)}, form, "", accuracy
    )


def test_what_loses_accuracy_is_not_chosen():
    rows = [
        measured("dense", 9000, 1.0, 0.95),
        measured("sparse", 1000, 0.5, 0.95),
        measured("lite_int8", 500, 0.1, 0.90),
        measured("lite_float16", 700, 0.4, 0.946),
    ]
    assert saving._best(rows, "speed") == "lite_float16"
    assert saving._best(rows, "size") == "lite_float16"
    unknown = [row._replace(accuracy=None) for row in rows]
    assert saving._best(unknown, "speed") == "lite_int8"
    wrong = [rows[0], rows[2]._replace(accuracy=0.0)]
    assert saving._best(wrong, "speed") == "dense"
    # Nothing is clearly faster than the dense form.
    rows = [measured("dense", 9, 1.0), measured("sparse", 5, 0.98)]
    assert saving._best(rows, "speed") == "dense"


def test_turns_are_as_many_and_times_those_of_a_call():
    calls = {"a": 0, "b": 0}

    def call(name):
        calls[name] += 1

    times = take_turns(
        {name: lambda name=name: call(name) for name in calls}, 0.0
    )
    for name, number in calls.items():
        assert len(times[name]) == 15 <= number
        assert 0 < np.median(times[name]) < 1e-3


def by_hand(kernel):
    """Count in groups of four along the inputs, one by one."""
    columns = kernel.reshape(-1, kernel.shape[-2], kernel.shape[-1])
    return all(
        np.count_nonzero(position[start : start + 4, unit]) <= 2
        for position in columns
        for start in range(0, position.shape[0], 4)
        for unit in range(position.shape[1])
    )


def test_two_of_four_is_found_in_the_file_for_tensorrt(tmp_path):
    random = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 8)),
            layers.Conv2D(16, 3, activation="relu", name="fits"),
            layers.Conv2D(6, 3, activation="relu", name="does_not"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(8, name="padded"),
            layers.Dense(3, name="dense"),
        ]
    )
    for layer in model.layers:
        if not layer.weights:
            continue
        kernel = random.normal(size=layer.kernel.shape)
        if layer.name in ("fits", "padded"):
            kernel[..., 0::4, :] = kernel[..., 3::4, :] = 0
            kernel[..., 2::4, ::2] = 0
        layer.kernel.assign(kernel)
    path = str(tmp_path / "export")
    cb.export.save(model, path, "onnx")
    found = cb.export.two_of_four(path)
    expected = [
        by_hand(layer.kernel.numpy()) for layer in model.layers if layer.weights
    ]
    assert expected == [True, False, True, False]
    assert [*found.values()] == expected
    with pytest.raises(InputError, match="an ONNX file"):
        cb.export.two_of_four(str(tmp_path))


def test_a_file_that_differs_is_never_left_behind(model, tmp_path, monkeypatch):
    for form in ("lite", "onnx"):
        monkeypatch.setattr(
            "cb.export.checking.infer", lambda model, x: 1.5 + model(x)
        )
        with pytest.raises(RunError, match="differs from"):
            cb.export.save(model, str(tmp_path / "a"), form)
        assert not [*tmp_path.iterdir()]
