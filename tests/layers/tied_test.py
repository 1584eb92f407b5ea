"""Layers whose kernels share values."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb import layers
from cb.conversion import tie
from cb.errors import InputError
from cb.layers.tied import balanced_table


def network():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(5, 3, name="conv"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="head"),
        ]
    )


@pytest.mark.parametrize("size,rows", [(10, 3), (4608, 922), (7, 7), (5, 1)])
def test_rows_are_dealt_evenly(size, rows):
    table = balanced_table((size,), rows, seed=3)
    occurrences = np.bincount(table, minlength=rows)
    assert len(occurrences) == rows
    assert occurrences.max() - occurrences.min() <= 1
    other = balanced_table((size,), rows, seed=4)
    assert rows == 1 or not np.array_equal(table, other)


@pytest.mark.parametrize(
    "shape,sparsity,rows",
    [((64, 72), 0.8, 922), ((64, 72), 0.9, 461), ((96, 96), 0.8, 1843)],
)
def test_the_bank_has_the_published_size(shape, sparsity, rows):
    layer = layers.TiedDense(shape[1], sparsity=sparsity, use_bias=False)
    layer.build((None, shape[0]))
    assert layer.bank.shape == (rows,)
    assert layer.kernel.shape == shape


@pytest.mark.parametrize("granularity", ["weight", "slice"])
def test_a_convolution_is_that_of_its_written_out_kernel(granularity):
    layer = layers.TiedConv2D(5, 3, sparsity=0.7, granularity=granularity)
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("f")
    outputs = layer(images)
    bank, table = np.asarray(layer.bank), np.asarray(layer.table)
    kernel = np.zeros((3, 3, 4, 5), "float32")
    for index in np.ndindex(4, 5):
        if granularity == "slice":
            kernel[:, :, *index] = bank[table[0, 0, *index]]
        else:
            for row, column in np.ndindex(3, 3):
                place = (row, column, *index)
                kernel[place] = bank[table[place]]
    assert len(bank) == (6 if granularity == "slice" else 54)
    np.testing.assert_array_equal(layer.kernel, kernel)
    np.testing.assert_allclose(
        outputs, tf.nn.conv2d(images, kernel, 1, "VALID"), atol=1e-5
    )


@pytest.mark.parametrize("rescale", [False, True])
def test_the_gradient_is_the_sum_over_members(rescale):
    layer = layers.TiedDense(3, sparsity=0.75, rescale_gradient=rescale)
    inputs = np.random.default_rng(0).normal(size=(5, 8)).astype("float32")
    layer.build(inputs.shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs) ** 2)
    gradient = tape.gradient(loss, layer.bank.value)
    kernel = tf.constant(np.asarray(layer.kernel))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        loss = tf.reduce_sum((inputs @ kernel) ** 2)
    whole = tape.gradient(loss, kernel).numpy()
    expected = np.bincount(
        np.asarray(layer.table).reshape(-1), whole.reshape(-1)
    )
    if rescale:
        expected = expected / (24 / 6)
    np.testing.assert_allclose(
        tf.convert_to_tensor(gradient), expected, rtol=1e-4
    )


def test_no_sparsity_is_a_permutation():
    layer = layers.TiedDense(3, sparsity=0.0)
    layer.build((None, 4))
    table = np.asarray(layer.table).reshape(-1)
    np.testing.assert_array_equal(np.sort(table), np.arange(12))


def test_a_bank_starts_from_the_initializer_of_the_kernel():
    keras.utils.set_random_seed(0)
    layer = layers.TiedDense(100, sparsity=0.5, kernel_initializer="he_normal")
    layer.build((None, 200))
    deviation = float(np.std(layer.bank))
    assert deviation == pytest.approx(np.sqrt(2 / 200), rel=0.05)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("granularity", ["weight", "slice"])
def test_a_tied_model_trains_saves_and_goes_back(granularity, policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    tied = tie(model, 0.5, granularity=granularity, rescale_gradient=True)
    assert type(tied.get_layer("conv")) is layers.TiedConv2D
    assert type(tied.get_layer("head")) is layers.TiedDense
    tied.compile("adam", "mse")
    images = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("f")
    tied.fit(images, np.ones((4, 4)), verbose=0)
    tied.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), tied(images))
    plain = cb.strip(loaded)
    assert type(plain.get_layer("conv")) is keras.layers.Conv2D
    np.testing.assert_allclose(plain(images), tied(images), atol=1e-6)


def test_weights_come_from_the_dense_model():
    model = network()
    tied = tie(model, 0.5, include="head")
    kernel = np.asarray(model.get_layer("head").kernel)
    assert np.isin(np.asarray(tied.get_layer("head").bank), kernel).all()
    np.testing.assert_array_equal(
        tied.get_layer("conv").kernel, model.get_layer("conv").kernel
    )


def test_slices_of_any_kernel_are_tied():
    layers = [keras.layers.Conv2D(4, size) for size in ((3, 1), (1, 3), 1)]
    model = keras.Sequential([keras.Input((9, 9, 2)), *layers])
    tied = cb.conversion.tie(model, 0.5, granularity="slice")
    outputs = tied(np.ones((2, 9, 9, 2), "float32"))
    assert np.isfinite(outputs).all()
    assert tied.layers[0].bank.shape == (4, 3, 1)
    assert tied.layers[1].bank.shape == (8, 1, 3)


def test_a_pattern_of_no_layer_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(InputError, match="matches no layer.*'typo'"):
        cb.conversion.tie(model, {"dense*": 0.5, "typo": 0.9})


def test_a_map_ties_only_what_it_names():
    tied = tie(network(), "conv=0.75")
    assert tied.get_layer("conv").sparsity == 0.75
    assert type(tied.get_layer("head")) is keras.layers.Dense
    with pytest.raises(InputError, match="can share values"):
        tie(network(), "recurrent=0.75")


@pytest.mark.parametrize(
    "arguments",
    [{"granularity": "row"}, {"sparsity": 1.0}, {"sparsity": -0.5}],
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(InputError):
        layers.TiedDense(3, **arguments).build((None, 3))


def test_lora_and_quantization_are_refused():
    layer = layers.TiedDense(3)
    layer.build((None, 3))
    with pytest.raises(ValueError, match="cb.strip"):
        layer.enable_lora(2)
    with pytest.raises(ValueError, match="cb.strip"):
        layer.quantize("int8")
