"""Exports for the engine: outputs, files, and processes without TensorFlow."""

import os
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import cb
from cb.engine import NAME
from cb.engine import Network
from cb.errors import InputError
from cb.errors import RunError
from tests.commands import ROOT

layers = keras.layers


def spread(model, seed=0):
    """Let the statistics of normalizations be other than the defaults."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("moving_mean", "moving_variance", "beta", "gamma"):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    return model


def inverted_residuals():
    inputs = x = keras.Input((11, 11, 3))
    for stride in (2, 1):
        y = layers.Conv2D(12, 1, use_bias=False)(x)
        y = layers.ReLU(6)(layers.BatchNormalization()(y))
        if stride > 1:
            y = layers.ZeroPadding2D(((0, 1), (1, 1)))(y)
        padding = "valid" if stride > 1 else "same"
        y = layers.DepthwiseConv2D(3, stride, padding, use_bias=False)(y)
        y = layers.ReLU(6)(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(8, 1)(y))
        x = layers.Add()([x, y]) if stride == 1 else y
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Reshape((4,))(layers.Conv2D(4, 1)(layers.Dropout(0.2)(x)))
    return keras.Model(inputs, layers.Activation("softmax")(x))


def dense_blocks():
    inputs = x = keras.Input((8, 8, 3))
    for _ in range(3):
        y = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.Concatenate()([x, layers.Conv2D(5, 3, padding="same")(y)])
    x = layers.AveragePooling2D(2)(layers.MaxPooling2D(2)(x))
    outputs = layers.Dense(4)(layers.Flatten()(x))
    return keras.Model(inputs, {"logits": outputs, "features": x})


def sequences():
    first = keras.Input((20, 3), name="first")
    second = keras.Input((4,), name="second")
    x = layers.Conv1D(8, 3, padding="causal", activation="tanh")(first)
    x = layers.GlobalMaxPooling1D()(x)
    x = layers.Concatenate()([x, layers.Dense(6, "silu")(second)])
    return keras.Model([first, second], layers.Dense(3, "sigmoid")(x))


def wide():
    return cb.models.build("wide_resnet(depth=10, width=1)", (16, 16, 3), 10)


def positions():
    """Build a softmax over the channels of an image."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, layers.Conv2D(5, 1, activation="softmax")(x))


def ends_of_sequences():
    """Build convolutions that are padded at the end of one position alone."""
    inputs = keras.Input((2, 5))
    x = layers.Conv1D(6, 3, strides=2, padding="same")(inputs)
    return keras.Model(inputs, layers.Conv1D(7, 2, padding="same")(x))


def joined_vectors():
    """Build a concatenation beside a value that is read again."""
    inputs = keras.Input((64,))
    x = layers.Dense(24, "relu")(layers.Dense(16, "relu")(inputs))
    parts = [layers.Dense(8, "relu")(x) for _ in range(2)]
    y = layers.Dense(24)(layers.Concatenate()(parts))
    return keras.Model(inputs, layers.Add()([y, x]))


@pytest.mark.parametrize(
    "make",
    [
        inverted_residuals,
        dense_blocks,
        sequences,
        wide,
        positions,
        ends_of_sequences,
        joined_vectors,
    ],
)
def test_outputs_are_those_of_the_model(make, tmp_path):
    model = spread(cb.sparsify(make(), 0.6))
    path = str(tmp_path / "exported")
    assert cb.export.save(model, path, form="engine") == "engine"
    assert os.listdir(path) == [NAME]
    predict = cb.export.load(path, batch_sizes=[1, 16])
    for examples in (1, 5, 16, 19):
        drawn = predict.draw(examples)
        given = drawn if len(drawn) > 1 else next(iter(drawn.values()))
        expected = model(given, training=False)
        found = predict(given)
        if not isinstance(found, dict):
            found, expected = {"y": found}, {"y": expected}
        for name, one in expected.items():
            np.testing.assert_allclose(
                found[name], one, rtol=1e-4, atol=1e-4, err_msg=name
            )


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small export, an input of it and the outputs."""
    folder = tmp_path_factory.mktemp("exported")
    model = spread(cb.sparsify(inverted_residuals(), 0.8))
    path = str(folder / "exported")
    cb.export.save(model, path, form="engine")
    x = np.random.default_rng(0).normal(size=(17, 11, 11, 3)).astype("float32")
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", model(x, training=False))
    return folder


PROGRAM = """
import sys
import numpy as np
import cb.{package}
folder = sys.argv[1]
predict = cb.{package}.load(folder + "/exported")
y = predict(np.load(folder + "/x.npy"))
np.testing.assert_allclose(y, np.load(folder + "/y.npy"), rtol=1e-4, atol=1e-4)
assert not {{"keras", "tensorflow"}} & {{*sys.modules}}
"""


def start(folder, package="engine", **environment):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(package=package), str(folder)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def test_new_processes_at_once_need_no_tensorflow(exported, tmp_path):
    """Both compile, into the same empty cache."""
    cache = str(tmp_path / "cache")
    packages = "engine", "export"
    for process in [
        start(exported, p, NUMBA_CACHE_DIR=cache) for p in packages
    ]:
        end(process)
    assert any(files for _, _, files in os.walk(cache))


def test_another_processor(exported):
    """Vectors are divided where registers are shorter."""
    end(
        start(
            exported,
            NUMBA_CPU_NAME="haswell",
            NUMBA_CPU_FEATURES="+avx,+avx2,+fma,+sse4.2",
        )
    )


def changed(exported, tmp_path, change):
    folder = shutil.copytree(exported / "exported", tmp_path / "exported")
    change(folder / NAME)
    return str(folder)


def cut(file):
    file.write_bytes(file.read_bytes()[:-300])


def flip(file):
    with zipfile.ZipFile(file) as archive:
        weights = archive.getinfo("float32.npy")
    data = bytearray(file.read_bytes())
    data[weights.header_offset + weights.compress_size // 2] ^= 255
    file.write_bytes(data)


def header(field, value):
    """Change two bytes of the last member's entry in the table of the file."""

    def change(file):
        data = bytearray(file.read_bytes())
        place = data.rindex(b"PK\x01\x02") + field
        data[place : place + 2] = value.to_bytes(2, "little")
        file.write_bytes(data)

    return change


def rewrite(**values):
    def change(file):
        with np.load(file) as archive:
            arrays = {name: archive[name] for name in archive.files}
        for name, value in values.items():
            arrays[name] = value(arrays[name])
        with open(file, "wb") as opened:
            np.savez(opened, **arrays)

    return change


def replaced(before, after):
    def change(text):
        new = text.tobytes().replace(before, after)
        return np.frombuffer(new, np.uint8)

    return rewrite(description=change)


DAMAGES = [
    (cut, "whole"),
    (flip, "whole"),
    (rewrite(float32=lambda x: x[:-1]), "whole"),
    (rewrite(float32=lambda x: np.append(x, 0)), "whole"),
    (rewrite(float32=lambda x: x * np.nan), "whole"),
    (rewrite(gaps=lambda x: x + np.uint8(1)), "whole"),
    (rewrite(gaps=lambda x: x[:-1]), "whole"),
    (replaced(b'"version": 1', b'"version": 2'), "version 1"),
    (replaced(b'"convolution"', b'"unknown"'), "fits"),
    (lambda file: file.write_bytes(b""), "whole"),
    # As if encrypted, and compressed by something unknown.
    (header(8, 1), "whole"),
    (header(10, 77), "whole"),
]


@pytest.mark.parametrize("change, reason", DAMAGES)
def test_a_damaged_file_is_refused(exported, tmp_path, change, reason):
    path = changed(exported, tmp_path, change)
    with pytest.raises(InputError, match=reason):
        cb.export.load(path)


def test_an_export_takes_the_place_of_any_other(exported, tmp_path):
    model = cb.sparsify(
        keras.Sequential([keras.Input((4,)), layers.Dense(3)]), 0.5
    )
    path = str(tmp_path / "exported")
    for form in ("engine", "sparse", "engine"):
        cb.export.save(model, path, form)
        found = cb.export.load(path)(np.ones((2, 4), "float32"))
        np.testing.assert_allclose(
            found, model(np.ones((2, 4))), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("tile", [8, 16])
def test_tiles_of_images_are_compared_too(tile, tmp_path, monkeypatch):
    """They run by other code than a few examples do."""
    run = Network._run

    def wrong(self, x, y, images, together):
        run(self, x, y, images, together)
        if images == tile:
            y += 1

    monkeypatch.setattr(Network, "_run", wrong)
    model = keras.Sequential([keras.Input((5, 5, 2)), layers.Conv2D(3, 3)])
    with pytest.raises(RunError, match="differs from"):
        cb.export.save(model, str(tmp_path / "exported"), "engine")
    assert not os.listdir(tmp_path)


def test_what_the_engine_lacks_is_named(tmp_path):
    model = keras.Sequential([keras.Input((5, 4)), layers.LSTM(3)])
    with pytest.raises(InputError, match="lstm.*not known.*'sparse'"):
        cb.export.save(model, str(tmp_path / "exported"), "engine")
    assert not os.listdir(tmp_path)
