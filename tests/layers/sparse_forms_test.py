"""Each layer on CSR kernels computes what its masked form does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import masked_kernels
from cb.layers.sparse_kernel import SparseKernel

POINT = {"kernel_size": 1, "activation": "relu"}
# Layer and the shape of an example.
FORMS = {
    "dense": (lambda: keras.layers.Dense(11, "relu"), (9,)),
    "positions": (lambda: keras.layers.Dense(11), (4, 9)),
    "heads": (
        lambda: keras.layers.EinsumDense(
            "abc,cde->abde", (4, 3, 5), activation="relu", bias_axes="de"
        ),
        (4, 9),
    ),
    "partial bias": (
        lambda: keras.layers.EinsumDense(
            "...c,cde->...de", (3, 5), bias_axes="d"
        ),
        (4, 9),
    ),
    "joined heads": (
        lambda: keras.layers.EinsumDense("abde,dec->abc", (None, 8)),
        (4, 3, 5),
    ),
    "conv1d": (lambda: keras.layers.Conv1D(7, **POINT), (6, 9)),
    "conv2d": (
        lambda: keras.layers.Conv2D(7, **POINT, strides=(2, 3), padding="same"),
        (5, 7, 9),
    ),
    "conv2d 3x3": (
        lambda: keras.layers.Conv2D(7, 3, padding="same", activation="relu"),
        (5, 7, 9),
    ),
    "conv2d dilated": (
        lambda: keras.layers.Conv2D(7, (3, 2), dilation_rate=(1, 2)),
        (5, 7, 9),
    ),
    "conv2d strided": (
        lambda: keras.layers.Conv2D(
            7, 3, strides=(2, 3), padding="same", use_bias=False
        ),
        (5, 7, 9),
    ),
    "conv3d": (
        lambda: keras.layers.Conv3D(7, **POINT, use_bias=False),
        (2, 3, 3, 9),
    ),
}


def pair(name):
    """Return a masked model of one layer and its copy on CSR kernels."""
    make, shape = FORMS[name]
    layer = make()
    model = keras.Sequential([keras.Input(shape), layer])
    for variable in model.trainable_variables[1:]:
        variable.assign(
            np.linspace(-1, 1, variable.value.shape.num_elements()).reshape(
                variable.shape
            )
        )
    masked = cb.sparsify(model, 0.6, "uniform")
    return masked, cb.to_csr(masked, max_density=1.0, min_size=1)


def examples(name, number=5):
    shape = (number, *FORMS[name][1])
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def differentiated(model, x):
    """Return outputs and gradients, those of kernels in their shape."""
    (kernel,) = masked_kernels(model)
    others = [v for v in model.trainable_variables if v is not kernel.trained]
    with tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        y = model(x, training=True)
        loss = tf.reduce_sum(y * y)
    wanted = [x, kernel.trained.value, *(v.value for v in others)]
    dx, weights, *rest = tape.gradient(loss, wanted)
    if isinstance(kernel.layer, SparseKernel):
        weights = kernel.layer.spread(weights)
    return [y, dx, weights, *rest]


@pytest.mark.parametrize("name", FORMS)
def test_outputs_and_gradients_are_those_of_the_masked_layer(name):
    masked, sparse = pair(name)
    assert isinstance(sparse.layers[-1], SparseKernel)
    x = examples(name)
    for one, two in zip(
        differentiated(sparse, x), differentiated(masked, x), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    again = cb.to_masked(sparse)
    assert type(again.layers[-1]) is type(masked.layers[-1])
    for one, two in zip(again.weights, masked.weights, strict=True):
        active = read(masked_kernels(masked)[0].mask) != 0
        value = read(two)
        if value.shape == active.shape:
            value = np.where(active, value, 0)
        np.testing.assert_array_equal(read(one), value)


@pytest.mark.parametrize("name", ["heads", "conv2d", "conv2d 3x3"])
def test_connections_move_as_in_masked_training(name, tmp_path):
    x = examples(name, 24)
    models = pair(name)
    y = np.asarray(models[0](x)) * 2 + 1
    for model in models:
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
        mover = cb.callbacks.Reallocation("rigl(every=2, end=1.0)", data)
        model.fit(data, epochs=3, callbacks=[mover], verbose=0, shuffle=False)
    (one,), (two,) = map(masked_kernels, models)
    np.testing.assert_array_equal(read(one.mask), read(two.mask))
    np.testing.assert_allclose(
        read(one.weight), read(two.weight), rtol=1e-3, atol=1e-5
    )
    models[1].save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), models[1](x))


@pytest.mark.parametrize(
    "layer, shape, reason",
    [
        (keras.layers.Conv3D(4, (3, 1, 1)), (5, 5, 5, 4), "3 x 1 x 1 pos"),
        (keras.layers.Conv2D(4, 1, groups=2), (5, 5, 4), "2 groups"),
        (keras.layers.EinsumDense("abc,bcd->abd", (3, 4)), (3, 4), "equation"),
        (
            keras.layers.EinsumDense("abc,cd->abd", (3, 4), bias_axes="bd"),
            (3, 4),
            "bias 'bd'",
        ),
    ],
)
def test_says_why_a_layer_stays_masked(layer, shape, reason):
    model = keras.Sequential([keras.Input(shape), layer])
    with pytest.raises(InputError, match=reason):
        cb.to_csr(cb.sparsify(model, 0.6), max_density=1.0, min_size=1)


@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_normal"])
def test_a_convolution_begins_at_the_scale_of_a_dense_one(initializer):
    arguments = {"kernel_initializer": initializer}
    dense = keras.layers.Conv2D(64, 3, **arguments)
    sparse = cb.layers.SparseConv2D(64, 3, connections=20000, **arguments)
    for layer in (dense, sparse):
        layer.build((None, 8, 8, 64))
    found, expected = np.std(sparse.values), np.std(dense.kernel)
    assert found == pytest.approx(expected, rel=0.03)
