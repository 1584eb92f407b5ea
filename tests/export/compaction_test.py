"""Compaction removes what is dead and changes no output."""

import keras
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.export import graph as graphs
from tests.export import random_networks

layers = keras.layers


def compacted(model):
    reports = []
    small = cb.export.compact(model, report=reports.append)
    return small, reports[0]


def assert_same(model, small, graph=False):
    """Compare outputs, eagerly or as TensorFlow's optimized graph."""
    shape = [side or 12 for side in model.input_shape[1:]]
    x = np.random.default_rng(0).normal(size=(7, *shape)).astype("float32")
    if graph:
        expected, found = model.predict_on_batch(x), small.predict_on_batch(x)
    else:
        expected, found = np.array(model(x)), np.array(small(x))
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


def filled(layer, **weights):
    for name, value in weights.items():
        variable = getattr(layer, name)
        variable.assign(np.broadcast_to(value, variable.shape))
    return layer


@pytest.mark.parametrize("seed", range(16))
def test_random_networks_keep_their_function(seed):
    model = random_networks.network(seed)
    small, report = compacted(model)
    assert_same(model, small, graph=seed < 3)
    assert small.output_shape == model.output_shape
    assert report.after <= report.before


def test_float64_models_are_compacted_in_float64():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, "tanh", dtype="float64"),
            layers.BatchNormalization(dtype="float64"),
            layers.Dense(2, dtype="float64"),
        ]
    )
    # Unit 0 is a constant that is no number of float32.
    filled(model.layers[0], kernel=[0, 1, 2, 3], bias=[0.1, 1, 0.2, 5])
    filled(model.layers[1], beta=0.3, moving_mean=0.7)
    small, report = compacted(model)
    assert report.after < report.before
    x = np.random.default_rng(0).normal(size=(7, 3))
    np.testing.assert_allclose(
        np.array(small(x)), np.array(model(x)), rtol=1e-13
    )


def test_dead_units_go_and_their_constants_move_into_biases():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)]
    )
    first, second = model.layers
    # Unit 0 has no inputs, unit 1 no outputs, unit 3 neither.
    filled(first, kernel=[0, 1, 1, 0], bias=[2, 1, 0, 5])
    filled(second, kernel=[[3], [0], [1], [0]], bias=[0.5, 0])
    small, report = compacted(model)
    kept, last = small.layers[1:]
    np.testing.assert_array_equal(kept.kernel, [[1], [1], [1]])
    np.testing.assert_array_equal(last.kernel, [[1, 1]])
    np.testing.assert_array_equal(last.bias, [6.5, 6])
    assert [(row.before, row.after) for row in report.rows] == [(4, 1), (2, 2)]
    assert_same(model, small)


def test_a_chain_of_dead_units_goes_as_a_whole():
    model = keras.Sequential(
        [keras.Input((3,)), *[layers.Dense(4, "tanh") for _ in range(3)]]
    )
    for layer in model.layers:
        filled(layer, kernel=np.eye(*layer.kernel.shape), bias=0.25)
    model.layers[1].kernel.assign(np.diag([1.0, 1.0, 0.0, 0.0]))
    small, _ = compacted(model)
    assert [layer.units for layer in small.layers[1:]] == [2, 2, 4]
    assert_same(model, small)


def test_blocks_of_channels_go_only_as_a_whole():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(10, "relu"), layers.Dense(2)]
    )
    first, second = model.layers
    # Of three blocks, the last of two units, one is needed for one unit alone.
    filled(first, kernel=[[0, 0, 0, 0, 0, 0, 1, 0, 0, 0]], bias=0.5)
    filled(second, kernel=1, bias=0)
    small = cb.export.compact(model, block=4)
    kept, last = small.layers[1:]
    np.testing.assert_array_equal(kept.kernel, [[0, 0, 1, 0]] * 3)
    np.testing.assert_array_equal(last.bias, [3, 3])
    assert_same(model, small)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_keep_their_function_in_blocks(seed):
    model = random_networks.network(seed)
    small = cb.export.compact(model, block=4)
    assert_same(model, small)
    assert small.count_params() <= model.count_params()


@pytest.mark.parametrize("padding, left", [("valid", 1), ("same", 2)])
def test_a_constant_is_folded_only_where_padding_does_not_show(padding, left):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(2, 1),
            layers.Conv2D(2, 3, padding=padding),
        ]
    )
    filled(model.layers[0], kernel=[1, 0], bias=[0, 1])
    small, report = compacted(model)
    assert report.rows[0].after == left
    assert_same(model, small)


def test_normalization_makes_and_passes_constants():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dense(2, use_bias=False),
        ]
    )
    dense, normal, _, last = model.layers
    dense.kernel.assign(dense.kernel * [0, 1, 1, 1])
    filled(normal, gamma=[2, 0, 1, 1], beta=[1, 3, 0, 0], moving_mean=0.5)
    small, _ = compacted(model)
    assert small.layers[1].units == 2
    before = np.maximum(1 - 2 * 0.5 / np.sqrt(1 + normal.epsilon), 0)
    expected = before * last.kernel[0] + 3 * last.kernel[1]
    np.testing.assert_allclose(small.layers[-1].bias, expected, rtol=1e-6)
    assert_same(model, small)


def test_branches_of_an_addition_keep_the_same_channels():
    inputs = keras.Input((4,))
    first = layers.Dense(3, name="first")(inputs)
    second = layers.Dense(3, name="second")(inputs)
    outputs = layers.Dense(2)(layers.Add(name="add")([first, second]))
    model = keras.Model(inputs, outputs)
    for name, alive in (("first", [1, 0, 0]), ("second", [1, 1, 0])):
        layer = model.get_layer(name)
        filled(layer, kernel=np.asarray(layer.kernel) * alive, bias=0.5)
    small, report = compacted(model)
    # The third is constant in both; the second is so in one only.
    assert small.get_layer("add").output.shape == (None, 2)
    rows = {row.name: row for row in report.rows}
    assert rows["first"].constant == 1
    assert_same(model, small)


class Mystery(layers.Dense):
    """Not a `Dense` any more."""

    def call(self, inputs):
        return super().call(inputs[:, ::-1])


def test_at_an_unknown_layer_nothing_is_removed():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4), Mystery(4), layers.Dense(2)]
    )
    for layer in model.layers:
        layer.kernel.assign(layer.kernel * 0)
    small, report = compacted(model)
    assert [stop.name for stop in report.stops] == [model.layers[1].name]
    assert report.removed == 0
    assert "stopped: Mystery is not known" in str(report)
    assert_same(model, small)


def test_an_activation_that_may_mix_units_is_named():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, activation="softmax"),
            layers.Dense(4, activation=layers.LeakyReLU()),
            layers.Dense(2, activation="softmax"),
        ]
    )
    for layer in model.layers[:2]:
        layer.kernel.assign(layer.kernel * [0, 1, 1, 0])
    small, report = compacted(model)
    # Those of the last layer are outputs in any case.
    assert [stop.reason for stop in report.stops] == [
        "activation softmax may mix what comes out",
        "activation LeakyReLU may mix what comes out",
    ]
    assert report.removed == 0
    assert_same(model, small)


def test_shared_layers_and_nested_models_keep_their_function():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, "relu"), layers.Dense(4)],
        name="inner",
    )
    shared = layers.Dense(4)
    inputs = keras.Input((4,))
    x = inner(shared(shared(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(x + 1.0))
    random_networks.kill(model, np.random.default_rng(0))
    inner.layers[0].kernel.assign(inner.layers[0].kernel * [0, 1, 1, 0, 1])
    small, report = compacted(model)
    assert {row.name: row.after for row in report.rows}[
        inner.layers[0].name
    ] <= 3
    assert "called more than once" in [stop.reason for stop in report.stops]
    assert_same(model, small)


def test_sizes_that_are_not_fixed_stop_only_what_needs_them():
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    random_networks.kill(model, np.random.default_rng(1), dead=0.5)
    small, report = compacted(model)
    assert report.rows[0].after < 6
    assert_same(model, small)


def test_a_sparse_model_comes_out_plain_and_keeps_names_of_inputs():
    inputs = {
        "a": keras.Input((6,), name="a"),
        "b": keras.Input((6,), name="b"),
    }
    x = layers.Concatenate()([inputs["a"], inputs["b"]])
    x = layers.Dense(50, "relu")(x)
    model = keras.Model(inputs, {"y": layers.Dense(3)(x)})
    model = cb.sparsify(model, 0.95, seed=1)
    small, report = compacted(model)
    assert report.rows[1].after < 50
    random = np.random.default_rng(0)
    x = {key: random.normal(size=(5, 6)).astype("float32") for key in "ab"}
    np.testing.assert_allclose(small(x)["y"], model(x)["y"], atol=1e-5)
    assert all(
        type(layer).__module__.startswith("keras") for layer in small.layers
    )


def test_a_model_that_is_not_built_is_refused():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(InputError, match="has no weights yet"):
        cb.export.compact(Subclassed())


@pytest.mark.parametrize("block", [0, -4, 1.5, "4", True])
def test_a_block_is_a_positive_number_of_channels(block):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(
        InputError, match="Argument `block` of `compact` must be"
    ):
        cb.export.compact(model, block=block)


class Unconfigured(layers.Layer):
    """Leaves out what Keras needs to make it again."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        """Return what the function makes of the inputs."""
        return self.function(inputs)


def test_layers_that_cannot_be_made_again_are_named():
    own = Unconfigured(lambda x: 2 * x)
    model = keras.Sequential([keras.Input((4,)), own])
    message = f"Layer '{own.name}' cannot be cloned.*Unconfigured"
    with pytest.raises(InputError, match=message) as caught:
        cb.export.compact(model)
    assert "\n" not in str(caught.value)
    # As it is where there is nothing to strip before.
    with pytest.raises(InputError, match=message):
        graphs.rebuild(graphs.trace(model))
