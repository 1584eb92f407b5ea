"""Exports are small, load without the project and compute the same."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

import cb
from cb.costs.files import file_bytes
from cb.errors import InputError
from cb.errors import RunError
from cb.export import checking
from cb.export import loading
from cb.export import program
from cb.export.chains import DenseChain
from cb.export.chains import EagerChain
from cb.export.chains import Layer
from cb.export.chains import compiled_chain
from tests.export import random_networks

layers = keras.layers


def wide(sparsity=0.9, seed=0):
    model = keras.Sequential(
        [
            keras.Input((16, 16), name="pixels"),
            layers.Flatten(),
            layers.Dense(512, "relu"),
            layers.Dropout(0.5),
            layers.Dense(512, "gelu"),
            layers.Dense(512),
            layers.Activation("relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    for layer in model.layers:
        for weight in layer.weights:
            random = np.random.default_rng(seed + len(weight.shape))
            weight.assign(random.normal(size=weight.shape) * 0.1)
    return cb.sparsify(model, sparsity, "uniform", seed=seed)


def images(number, shape=(16, 16)):
    random = np.random.default_rng(number)
    return random.normal(size=(number, *shape)).astype("float32")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = wide()
    path = str(tmp_path_factory.mktemp("exported") / "sparse")
    assert cb.export.save(model, path, "sparse", batch_sizes=[4]) == "sparse"
    return model, path


PLAIN = """
import sys, numpy as np, tensorflow as tf
saved = tf.saved_model.load(sys.argv[1])
x = np.load(sys.argv[2])
y = saved.signatures["serving_default"](pixels=x)["output_0"]
np.save(sys.argv[3], y)
# As servers do, which know no Python.
v1 = tf.compat.v1
with v1.Graph().as_default(), v1.Session() as session:
    graph = v1.saved_model.load(session, ["serve"], sys.argv[1])
    signature = graph.signature_def["serving_default"]
    feed = {signature.inputs["pixels"].name: x}
    for _ in range(2):
        served = session.run(signature.outputs["output_0"].name, feed)
np.testing.assert_allclose(served, y, atol=1e-6)
assert not any(name.split(".")[0] in ("cb", "numba") for name in sys.modules)
"""


def test_the_sparse_form_is_plain_tensorflow(exported, tmp_path):
    model, path = exported
    x = images(5)
    np.save(tmp_path / "x.npy", x)
    files = [str(tmp_path / name) for name in ("x.npy", "y.npy")]
    subprocess.run(
        [sys.executable, "-c", PLAIN, path, *files],
        check=True,
        cwd=tmp_path,
        env={"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    found = np.load(tmp_path / "y.npy")
    np.testing.assert_allclose(found, model(x), atol=1e-5)


def test_variables_hold_little_more_than_the_nonzeros(exported):
    model, path = exported
    plain = cb.export.compact(model)
    kernels = [np.array(w) for w in plain.weights if len(w.shape) == 2]
    biases = sum(kernel.shape[1] for kernel in kernels)
    nonzeros = sum(np.count_nonzero(kernel) for kernel in kernels) + biases
    # A value of four bytes and an index of two.
    assert file_bytes(f"{path}/variables") <= 1.3 * 6 * nonzeros


def test_the_dense_form_holds_every_weight_once(exported, tmp_path):
    model, _ = exported
    path = str(tmp_path / "dense")
    cb.export.save(model, path)
    weights = sum(w.numpy().nbytes for w in cb.strip(model).weights)
    assert weights < file_bytes(f"{path}/variables") < 1.02 * weights + 4096


@pytest.mark.parametrize("number", [0, 1, 2, 3, 16, 40, 200])
def test_loaded_models_take_any_batch(exported, number):
    model, path = exported
    function = cb.export.load(path, batch_sizes=[1, 64])
    x = images(number)
    np.testing.assert_allclose(function(x), model(x), atol=1e-5)
    assert set(function.kernels) == {1, 64}


def test_two_exports_in_a_process_keep_apart(exported, tmp_path):
    model, path = exported
    other = wide(seed=5)
    second = str(tmp_path / "other")
    cb.export.save(other, second, "sparse", batch_sizes=[4])
    functions = [
        tf.saved_model.load(folder).signatures["serving_default"]
        for folder in (path, second, path)
    ]
    x = images(3)
    for function, source in zip(functions, (model, other, model), strict=True):
        found = function(pixels=x)["output_0"]
        np.testing.assert_allclose(found, source(x), atol=1e-5)


@pytest.mark.parametrize("seed", [1, 4, 7])
def test_random_networks_come_out_the_same(seed, tmp_path):
    model = random_networks.network(seed)
    path = str(tmp_path / "network")
    cb.export.save(model, path, "sparse", batch_sizes=[2])
    function = cb.export.load(path, batch_sizes=[2])
    x = images(4, random_networks.IMAGE)
    expected = np.array(model(x))
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(function(x), expected, atol=1e-5 * scale)
    # Every step by itself too, whatever is fastest.
    steps = loading.LoadedModel(*loading._read(path), [])
    assert steps.has_steps
    for kind in ("numba", "tensorflow", "dense"):
        found = steps.execute(x, lambda *_, kind=kind: kind)
        np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


@pytest.mark.parametrize("kind", [compiled_chain, EagerChain, DenseChain])
@pytest.mark.parametrize("number", [1, 3, 16, 33, 130])
def test_chains_multiply_as_scipy_does(kind, number):
    random = np.random.default_rng(0)
    activations = {
        "relu": lambda x: np.maximum(x, 0),
        "relu6": lambda x: np.clip(x, 0, 6),
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "tanh": np.tanh,
        "linear": lambda x: x,
    }
    widths = [70, 30, 90, 20, 5, 11]
    chain = [
        Layer(
            scipy.sparse.random_array(
                (outputs, inputs), density=0.2, rng=random, format="csr"
            ).astype("float32"),
            random.normal(size=outputs).astype("float32"),
            activation,
        )
        for inputs, outputs, activation in zip(
            widths, widths[1:], activations, strict=False
        )
    ]
    expected = x = random.normal(size=(number, 70)).astype("float32")
    for layer in chain:
        expected = activations[layer.activation](
            (layer.matrix @ expected.T).T + layer.bias
        )
    np.testing.assert_allclose(kind(chain)(x), expected, atol=1e-5)


def test_compiled_kernels_pass_on_what_is_not_a_number():
    eye = scipy.sparse.csr_array(np.eye(3, dtype="float32"))
    chain = compiled_chain([Layer(eye, np.zeros(3, "float32"), "relu")])
    for number in (1, 20):
        x = np.full((number, 3), np.nan, "float32")
        assert np.isnan(chain(x)).all()


def test_without_numba_the_others_do(exported, monkeypatch):
    model, path = exported
    monkeypatch.setitem(sys.modules, "numba", None)
    function = cb.export.load(path, batch_sizes=[8])
    x = images(8)
    np.testing.assert_allclose(function(x), model(x), atol=1e-5)
    with pytest.raises(InputError, match="pip install numba"):
        compiled_chain([])


def test_auto_writes_one_form_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "auto"
    form = cb.export.save(wide(), str(path), "auto", batch_sizes=[2])
    # Without examples, none that rounds.
    assert form in (
        "dense",
        "compact",
        "sparse",
        "lite",
        "onnx",
        "openvino",
        "engine",
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["auto"]
    x = images(2)
    found = cb.export.load(str(path), batch_sizes=[2])(x)
    np.testing.assert_allclose(found, wide()(x), atol=1e-5)


def test_an_export_set_aside_by_a_killed_process_is_not_lost(tmp_path):
    path, aside = tmp_path / "export", tmp_path / ".export.old"
    cb.export.save(wide(), str(path))
    path.rename(aside)
    unknown = keras.Sequential([layers.Dense(1)])
    unknown.build((None, 2))
    unknown.layers[0].kernel.assign([[np.nan], [1.0]])
    with pytest.raises(RunError):
        cb.export.save(unknown, str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["export"]
    tf.saved_model.load(str(path))


def test_a_different_export_is_never_left_behind(tmp_path, monkeypatch):
    other = cb.strip(wide(seed=3))
    monkeypatch.setattr("cb.export.saved_model.strip", lambda model: other)
    with pytest.raises(RunError, match="differs from"):
        cb.export.save(wide(), str(tmp_path / "dense"))
    assert not [*tmp_path.iterdir()]


def test_an_export_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    path = tmp_path / "dense"
    cb.export.save(model, str(path))
    before = sorted(path.rglob("*"))
    rename = os.rename

    def full(source, target):
        if str(source).endswith(".part"):
            assert (tmp_path / ".dense.old/saved_model.pb").is_file()
            raise OSError("disk full")
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", full)
        with pytest.raises(OSError, match="disk full"):
            cb.export.save(model, str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["dense"]
    assert sorted(path.rglob("*")) == before
    cb.export.save(model, str(path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["dense"]


def test_what_cannot_be_exported_says_so(tmp_path):
    with pytest.raises(InputError, match="has no weights yet"):
        cb.export.save(keras.Sequential([layers.Dense(2)]), str(tmp_path))
    with pytest.raises(InputError, match="compact"):
        cb.export.save(wide(), str(tmp_path), form="zipped")
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match="an earlier SavedModel"):
        cb.export.save(wide(), str(tmp_path))
    assert (tmp_path / "thesis.txt").is_file()
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(InputError, match=r"SavedModel alone.*thesis\.txt"):
        cb.export.save(wide(), str(tmp_path))
    assert (tmp_path / "thesis.txt").is_file()
    (tmp_path / "saved_model.pb").unlink()
    with pytest.raises(InputError, match="that can be written"):
        cb.export.save(wide(), str(tmp_path / "thesis.txt" / "below"))
    with pytest.raises(InputError, match="must be a Keras model"):
        cb.export.save("model.keras", str(tmp_path / "a"))
    subclassed = type("Own", (keras.Model,), {"call": lambda self, x: x})()
    with pytest.raises(InputError, match="no weights yet"):
        cb.export.save(subclassed, str(tmp_path / "a"))
    with pytest.raises(InputError, match="the folder of an export"):
        cb.export.load(str(tmp_path))
    for sizes in ([], 4, "12", [1.5]):
        with pytest.raises(InputError, match="positive integers"):
            cb.export.save(wide(), str(tmp_path / "a"), batch_sizes=sizes)
    with pytest.raises(InputError, match="positive integers"):
        cb.export.save(wide(), str(tmp_path / "a"), "sparse", batch_sizes=[2])
        cb.export.load(str(tmp_path / "a"), batch_sizes=[0])


def test_the_steps_are_readable(exported):
    _, path = exported
    with open(f"{path}/assets.extra/cb_steps.json") as stream:
        steps = json.load(stream)["steps"]
    found = [[x["activation"] for x in step["layers"]] for step in steps]
    # gelu and softmax end a chain; dropout is nothing, relu joins its layer.
    assert found == [["relu", "linear"], ["relu", "linear"]]
    assert [step["ending"] for step in steps] == [True, True]
    assert steps[0]["flatten"]


def test_small_outputs_are_compared_too():
    expected = np.full((2, 50_000), 2e-5)
    checking.check_outputs("model", expected, expected + 1e-7, 1e-4)
    with pytest.raises(RunError, match="differs"):
        checking.check_outputs("model", expected, 0 * expected, 1e-4)


def test_steps_that_differ_are_never_written(tmp_path, monkeypatch):
    described = program.describe

    def other(*arguments):
        found = described(*arguments)
        found["steps"][0]["layers"][0]["activation"] = "tanh"
        return found

    monkeypatch.setattr(program, "describe", other)
    with pytest.raises(RunError, match="differs"):
        cb.export.save(wide(), str(tmp_path / "a"), "sparse", batch_sizes=[2])
    assert not [*tmp_path.iterdir()]


def test_a_form_that_cannot_be_written_is_left_out(tmp_path, monkeypatch):
    def refuse(model, path, saved, batches):
        raise RunError("they differ")

    monkeypatch.setattr("cb.export.saved_model.check_steps", refuse)
    with pytest.warns(UserWarning, match="Not as 'sparse': they differ"):
        form = cb.export.save(wide(), str(tmp_path / "a"), "auto", [2])
    assert form != "sparse"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
