"""Exports of which the engine runs a part, and TensorFlow other layers."""

import json
import os

import keras
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.export import graph as graphs
from cb.export.any_form import SEGMENTS
from cb.export.segments import segments
from tests.commands import run_code

layers = keras.layers


@keras.saving.register_keras_serializable("segments_test")
class Swapped(layers.Layer):
    """A layer of a user: halves of the channels swapped and scaled."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), name="factor")

    def call(self, x):
        first, second = keras.ops.split(x, 2, axis=-1)
        return keras.ops.concatenate([second, first], -1) * (self.factor + 1)


def in_the_middle():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(8, 3, 2, activation="relu")(x)
    x = Swapped()(layers.Dropout(0.1)(layers.LayerNormalization()(x)))
    x = layers.Conv2D(6, 3)(x)
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))


def two_branches():
    inputs = keras.Input((6, 4), name="steps")
    other = keras.Input((5,), name="other")
    x = layers.Conv1D(8, 3, padding="same")(inputs)
    y = layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.Add()([layers.Conv1D(8, 1, activation="relu")(x), y])
    x = layers.GlobalAveragePooling1D()(x)
    z = layers.Dense(8, "relu")(other)
    merged = layers.Multiply()([x, z])
    outputs = layers.Dense(3)(layers.Concatenate()([merged, z]))
    return keras.Model([inputs, other], {"scores": outputs, "hidden": z})


def at_the_beginning():
    tokens = keras.Input((7,), dtype="int32")
    x = layers.Embedding(10, 8)(tokens)
    x = layers.Dense(8, "relu")(layers.LSTM(6, return_sequences=True)(x))
    return keras.Model(tokens, layers.Dense(3)(layers.Flatten()(x)))


def masked_at_the_beginning():
    tokens = keras.Input((None,), dtype="int32")
    x = layers.LSTM(6)(layers.Embedding(10, 8, mask_zero=True)(tokens))
    return keras.Model(tokens, layers.Dense(3)(layers.Dense(8, "relu")(x)))


def at_the_end():
    inputs = keras.Input((9,))
    x = layers.Dense(12, "relu")(layers.Dense(12, "tanh")(inputs))
    return keras.Model(inputs, [x, layers.UnitNormalization()(x), inputs])


def sparse_in_tensorflow():
    """Its dense layer has an activation that the engine does not have."""
    inputs = keras.Input((9,))
    x = layers.Dense(16, "gelu")(layers.Dense(12, "relu")(inputs))
    return keras.Model(inputs, layers.Dense(4)(x))


# What runs in turns, the engine first: how many layers in each.
CASES = {
    in_the_middle: [("engine", 2), ("tensorflow", 3), ("engine", 3)],
    two_branches: [("engine", 3), ("tensorflow", 4), ("engine", 2)],
    at_the_beginning: [("tensorflow", 2), ("engine", 3)],
    masked_at_the_beginning: [("tensorflow", 3), ("engine", 2)],
    at_the_end: [("engine", 2), ("tensorflow", 1)],
    sparse_in_tensorflow: [("engine", 1), ("tensorflow", 1), ("engine", 1)],
}


def drawn_for(model, examples, seed=0):
    random = np.random.default_rng(seed)
    return {
        value.name: (
            random.integers(0, 10, (examples, value.shape[1] or 5))
            if value.dtype == "int32"
            else random.normal(size=(examples, *value.shape[1:]))
        ).astype(value.dtype)
        for value in model.inputs
    }


@pytest.fixture(scope="module", params=CASES)
def exported(request, tmp_path_factory):
    """A model, and the folder of its export."""
    model = cb.sparsify(request.param(), 0.6)
    path = str(tmp_path_factory.mktemp("exported") / "exported")
    assert cb.export.save(model, path, form="engine") == "engine"
    return model, path


def test_outputs_are_those_of_the_model(exported):
    model, path = exported
    predict = cb.export.load(path, batch_sizes=[1, 16])
    for examples in (1, 5, 17):
        drawn = drawn_for(model, examples)
        given = drawn if len(drawn) > 1 else next(iter(drawn.values()))
        found, expected = predict(given), model(given, training=False)
        if isinstance(expected, list):
            expected = {f"output_{n}": y for n, y in enumerate(expected)}
        if not isinstance(expected, dict):
            found, expected = {"y": found}, {"y": expected}
        assert found.keys() == expected.keys()
        for name, one in expected.items():
            np.testing.assert_allclose(
                found[name], one, rtol=1e-4, atol=1e-5, err_msg=name
            )
    none = keras.tree.map_structure(lambda x: x[:0], given)
    assert {len(y) for y in keras.tree.flatten(predict(none))} == {0}


@pytest.mark.parametrize("make, expected", CASES.items())
def test_what_runs_where(make, expected):
    graph = graphs.trace(make())
    found = segments(graph)
    places = {True: "engine", False: "tensorflow"}
    assert [(places[s.compiled], len(s.calls)) for s in found] == expected
    assert sum(len(s.calls) for s in found) == len(graph.calls)


def test_kernels_of_the_engine_are_not_in_the_saved_model(tmp_path):
    inputs = keras.Input((256,))
    x = layers.LayerNormalization()(layers.Dense(256)(inputs))
    model = keras.Model(inputs, layers.Dense(256)(x))
    path = tmp_path / "exported"
    cb.export.save(cb.sparsify(model, 0.98), str(path), "engine")
    sizes = {
        file.relative_to(path): file.stat().st_size
        for file in path.rglob("*")
        if file.is_file()
    }
    weights = [n for file, n in sizes.items() if file.name == "cb_engine.npz"]
    assert len(weights) == 2
    # 1311 weights of five bytes, and biases.
    assert all(1311 * 5 < size < 14000 for size in weights)
    data = [n for file, n in sizes.items() if "variables" in file.parts]
    assert sum(data) < 20000


def test_inputs_that_do_not_fit_are_refused(tmp_path):
    path = str(tmp_path / "exported")
    cb.export.save(in_the_middle(), path, "engine")
    predict = cb.export.load(path, batch_sizes=[1])
    x = np.zeros((2, 8, 8, 3), "float32")
    with pytest.raises(InputError, match="must have the shape"):
        predict(x[:, 1:])
    x[0, 0] = np.nan
    with pytest.raises(InputError, match="finite.*24 numbers"):
        predict(x)
    with pytest.raises(InputError, match="'cb_engine.npz'.*cb.export.load"):
        cb.engine.load(path)


def test_another_version_and_a_missing_part_are_refused(tmp_path):
    path = tmp_path / "exported"
    cb.export.save(at_the_end(), str(path), "engine")
    description = json.loads((path / SEGMENTS).read_text())
    (path / SEGMENTS).write_text(json.dumps({**description, "version": 2}))
    with pytest.raises(InputError, match="version 1.*version 2"):
        cb.export.load(str(path))
    (path / SEGMENTS).write_text(json.dumps({"version": 1}))
    with pytest.raises(InputError, match="can be read"):
        cb.export.load(str(path))
    (path / SEGMENTS).write_text(json.dumps(description))
    os.remove(path / "assets.extra" / "0" / "cb_engine.npz")
    with pytest.raises(InputError, match="cb_engine.npz"):
        cb.export.load(str(path))


def test_masks_between_segments_are_refused(tmp_path):
    tokens = keras.Input((5,), dtype="int32")
    other = keras.Input((4,))
    x = layers.Embedding(10, 8, mask_zero=True)(tokens)
    y = layers.LayerNormalization()(layers.Dense(8)(other))
    y = layers.Dense(6)(layers.Dense(6)(y))
    outputs = layers.LSTM(6)(x, initial_state=[y, y])
    model = keras.Model([tokens, other], outputs)
    with pytest.raises(InputError, match="masks of steps.*'sparse'"):
        cb.export.save(model, str(tmp_path / "exported"), "engine")
    assert not os.listdir(tmp_path)


PROGRAM = """
import sys
import numpy as np
import cb.export
predict = cb.export.load(sys.argv[1], batch_sizes=[1])
assert ("tensorflow" in sys.modules) == (sys.argv[2] == "segments")
x = np.linspace(-1, 1, 576, dtype="float32").reshape(3, 8, 8, 3)
np.save(sys.argv[1] + ".npy", predict(x))
"""


@pytest.mark.parametrize("kind", ["segments", "whole"])
def test_tensorflow_is_imported_only_for_segments(kind, tmp_path):
    model = in_the_middle()
    if kind == "whole":
        model = keras.Model(model.inputs[0], model.layers[2].output)
    path = str(tmp_path / "exported")
    cb.export.save(model, path, "engine")
    run_code(PROGRAM, path, kind)
    x = np.linspace(-1, 1, 576, dtype="float32").reshape(3, 8, 8, 3)
    np.testing.assert_allclose(
        np.load(path + ".npy"), model(x), rtol=1e-4, atol=1e-5
    )
