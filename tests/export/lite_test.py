"""LiteRT files are small, compute the same, and say what they cannot."""

import concurrent.futures
import os
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.errors import InputError
from cb.errors import RunError
from cb.export import calibration
from cb.export.runtimes import LiteModel

layers = keras.layers


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


IMAGES = draw(40, 8, 8, 2)


@pytest.fixture(scope="module")
def model():
    dense = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(64, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(256, "relu"),
            layers.Dense(5),
        ]
    )
    return cb.sparsify(dense, 0.95, "uniform")


def nonzeros(model):
    weights = [np.array(weight) for weight in cb.strip(model).weights]
    return sum(map(np.count_nonzero, weights))


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lite")
    found = {}
    for quantize in (None, "float16", "int8"):
        examples = IMAGES if quantize == "int8" else None
        for sparse in (True, False):
            path = folder / f"{quantize}_{sparse}.tflite"
            cb.export.save_lite(model, str(path), quantize, examples, sparse)
            found[quantize, sparse] = path.read_bytes()
    return found


# Parts of the largest output, and bytes of a value with its index.
KINDS = {None: (1e-5, 6), "float16": (5e-3, 4), "int8": (0.05, 3)}


@pytest.mark.parametrize("quantize", KINDS)
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("number", [1, 3, 40, 0])
def test_outputs_are_the_same(files, model, quantize, sparse, number):
    run = LiteModel(files[quantize, sparse])
    run(IMAGES[:2])
    x = IMAGES[:number]
    expected = cb.strip(model)(IMAGES).numpy()
    atol = KINDS[quantize][0] * np.abs(expected).max()
    np.testing.assert_allclose(run(x), expected[:number], atol=atol)


@pytest.mark.parametrize("quantize", KINDS)
def test_zeros_are_not_stored(files, model, quantize):
    small, large = files[quantize, True], files[quantize, False]
    assert len(small) < KINDS[quantize][1] * nonzeros(model) + 12_000
    assert len(small) < 0.35 * len(large)


def test_integers_and_names_of_outputs_go_through(tmp_path):
    inputs = keras.Input((7,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(50, 8)(inputs))
    model = keras.Model(inputs, {"scores": layers.Dense(3)(x)})
    path = tmp_path / "model.tflite"
    cb.export.save_lite(model, str(path), "float16")
    x = np.random.default_rng(0).integers(0, 50, (4, 7), "int32")
    found = LiteModel(path.read_bytes())(x)
    np.testing.assert_allclose(found, model(x)["scores"], atol=1e-3)


@pytest.fixture(scope="module")
def any_side():
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
        ]
    )
    return cb.sparsify(model, 0.5)


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_sides_may_vary(any_side, quantize, tmp_path):
    path = tmp_path / "model.tflite"
    examples = quantize and IMAGES
    cb.export.save_lite(any_side, str(path), quantize, examples)
    run = LiteModel(path.read_bytes())
    for x in (IMAGES, IMAGES[:1, :6], IMAGES[:3, :, :7]):
        expected = any_side(x).numpy()
        atol = (0.05 if quantize else 1e-5) * np.abs(expected).max()
        np.testing.assert_allclose(run(x), expected, atol=atol)


def batches():
    return tf.data.Dataset.from_tensor_slices((IMAGES, range(40))).batch(10)


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return IMAGES[10 * index : 10 * index + 10], np.zeros(10)


SAME = {
    "batches": lambda: [IMAGES[:7], IMAGES[7:]],
    "generator": lambda: ([image[None]] for image in IMAGES),
    "function": lambda: lambda: ([image[None]] for image in IMAGES),
    "labels": batches,
    "weights": lambda: [(IMAGES, np.zeros(40), np.ones(40))],
    "images alone": lambda: batches().map(lambda x, y: x),
    "dict": lambda: [{"images": IMAGES}],
    "float64": lambda: IMAGES.astype("float64"),
    "tensor": lambda: tf.constant(IMAGES),
    "lists": lambda: [image[None].tolist() for image in IMAGES],
    "keras": Sequence,
}


@pytest.mark.parametrize("kind", SAME)
def test_examples_come_in_many_ways(kind):
    found = calibration.examples_from(
        SAME[kind](), (None, None, 8, 2), "float32"
    )
    np.testing.assert_array_equal(found, IMAGES)
    assert found.dtype == "float32"


def test_a_data_set_that_repeats_itself_is_read_in_part():
    found = calibration.examples_from(
        batches().repeat(), (None, 8, 8, 2), "float32"
    )
    assert len(found) == 1024
    np.testing.assert_array_equal(found[40:80], IMAGES)


with_nan = IMAGES.copy()
with_nan[13, 1, 2, 0] = np.nan
WRONG = {
    "none": ([], "at least 8 examples. Received: 0"),
    "few": ([IMAGES[:3]], "at least 8 examples. Received: 3"),
    "few in an array": (IMAGES[:7], "at least 8 examples. Received: 7"),
    "one example": (IMAGES[0], r"\(examples, 8, 8, 2\).*\(8, 8, 2\)"),
    "examples as batches": ([*IMAGES], r"\(examples, 8, 8, 2\).*\(8, 8, 2\)"),
    "transposed": (
        IMAGES.transpose(0, 3, 1, 2),
        r"\(examples, 8, 8, 2\).*\(40, 2, 8, 8\)",
    ),
    "labels first": ([(np.zeros(40), IMAGES)], r"shape \(40,\)"),
    "nan": (with_nan, "finite values. Received: nan in example 13"),
    "infinite": (IMAGES + np.inf, "finite values"),
    "text": (["a.png", "b.png"], "must be an array of examples"),
    "a path": ("images", "must be an array of examples|shape"),
    "a number": (100, "must be an array of examples"),
    "two inputs": ([{"a": IMAGES, "b": IMAGES}], "must be an array"),
    "objects": ([None] * 9, "must be an array of examples"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_examples_that_do_not_fit_are_refused(kind, model, tmp_path):
    representative, message = WRONG[kind]
    with pytest.raises(InputError, match=message) as caught:
        calibration.examples_from(representative, (None, 8, 8, 2), "float32")
    assert "\n" not in str(caught.value)


def test_examples_of_different_sizes_are_refused():
    with pytest.raises(InputError, match="of one shape"):
        calibration.examples_from(
            [IMAGES, IMAGES[:, :5]], (None, None, 8, 2), "float32"
        )


def test_what_cannot_be_written_says_so(model, tmp_path):
    path = str(tmp_path / "model.tflite")

    def refused(match, *arguments, error=InputError):
        with pytest.raises(error, match=match) as caught:
            cb.export.save_lite(*arguments)
        assert "\n" not in str(caught.value)

    refused("`representative` is needed.*sparse=False", model, path, "int8")
    refused("with quantize='int8' alone", model, path, None, IMAGES)
    refused("`quantize`.*'int4'", model, path, "int4", IMAGES)
    refused("`representative` must", model, path, "int8", IMAGES[:2])
    inputs = [keras.Input((2,)), keras.Input((2,))]
    two = keras.Model(inputs, layers.Add()(inputs))
    refused("one input and one output", two, path)
    for other in (None, keras.Sequential([layers.Dense(2)])):
        refused("a Keras model|no weights yet", other, path)
    small = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    (tmp_path / "taken").mkdir()
    for name in ("none/here/model.tflite", "taken"):
        refused("`path` must be a file", small, str(tmp_path / name))
    small.layers[0].kernel.assign(np.full((3, 2), np.nan))
    refused("not finite", small, path, error=RunError)
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("quantize", KINDS)
def test_blocks_of_four_inputs_too(quantize, tmp_path):
    dense = keras.Sequential(
        [keras.Input((64,)), layers.Dense(128, "relu"), layers.Dense(32)]
    )
    model = cb.sparsify(
        dense, 0.9, "uniform", granularity="block(rows=4, columns=1)"
    )
    path, x = tmp_path / "model.tflite", draw(40, 64)
    examples = x if quantize == "int8" else None
    cb.export.save_lite(model, str(path), quantize, examples)
    expected = model(x).numpy()
    atol = KINDS[quantize][0] * np.abs(expected).max()
    found = LiteModel(path.read_bytes())(x)
    np.testing.assert_allclose(found, expected, atol=atol)


def test_weights_alone_in_eight_bits_are_written_dense(model, tmp_path):
    path = tmp_path / "model.tflite"
    cb.export.save_lite(model, str(path), "int8", sparse=False)
    expected = model(IMAGES).numpy()
    found = LiteModel(path.read_bytes())(IMAGES)
    np.testing.assert_allclose(
        found, expected, atol=0.05 * np.abs(expected).max()
    )


def test_files_run_without_the_newer_package(files, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    expected = model(IMAGES).numpy()
    found = LiteModel(files[None, True])(IMAGES)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_does_not_fit_a_file_is_refused(files):
    run = LiteModel(files[None, True])
    with pytest.raises(InputError, match=r"\(None, 8, 8, 2\).*\(8, 8, 2\)"):
        run(IMAGES[0])
    with pytest.raises(InputError, match="able to run the file"):
        LiteModel(b"nothing")


def test_files_in_threads_leave_standard_error_as_it_was(files):
    content, before = files[None, True], os.fstat(2)

    def work(number):
        for turn in range(20):
            run = LiteModel(content, 1)
            run(IMAGES[: 1 + (number + turn) % 3])

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        [*pool.map(work, range(4))]
    assert os.path.samestat(os.fstat(2), before)


def test_a_loop_over_steps_runs_one_example_at_a_time(tmp_path):
    model = cb.sparsify(
        keras.Sequential(
            [keras.Input((5, 4)), layers.GRU(24), layers.Dense(3)]
        ),
        0.5,
    )
    path = tmp_path / "model.tflite"
    x = draw(40, 5, 4)
    cb.export.save_lite(model, str(path))
    found = LiteModel(path.read_bytes())(x)
    np.testing.assert_allclose(found, model(x), atol=1e-5)
    with pytest.raises(InputError, match="converter cannot take"):
        cb.export.save_lite(model, str(path), "int8", x)


def test_dense_layers_inside_axes_are_stored_sparse_too(tmp_path):
    model = cb.sparsify(
        keras.Sequential(
            [
                keras.Input((6, 32)),
                layers.Dense(256, "relu"),
                layers.GlobalAveragePooling1D(),
                layers.Dense(3, "softmax"),
            ]
        ),
        0.95,
        "uniform",
    )
    before = [type(layer) for layer in model.layers]
    path, x = tmp_path / "model.tflite", draw(40, 6, 32)
    cb.export.save_lite(model, str(path), "int8", x)
    found = LiteModel(path.read_bytes())(x)
    np.testing.assert_allclose(found, model(x), atol=0.02)
    assert [type(layer) for layer in model.layers] == before
