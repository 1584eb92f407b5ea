"""Convolutions by sparse kernels are those of TensorFlow by dense ones."""

import numpy as np
import pytest
import tensorflow as tf

from cb.kernels import csr_products
from cb.kernels.csr_products import convolve
from cb.layers.sparse_kernel import csr

# Examples, height, width, inputs and outputs; sizes of the kernel, strides,
# dilation and padding. Vectors have 16 or 8 numbers, tiles several images.
SHAPES = {
    "one image": ((1, 32, 32, 32, 32), (3, 3), (1, 1), (1, 1), "SAME"),
    "tiles": ((35, 8, 8, 16, 19), (3, 3), (1, 1), (1, 1), "SAME"),
    "odd": ((5, 7, 9, 3, 5), (3, 3), (1, 1), (1, 1), "SAME"),
    "one position": ((9, 1, 1, 5, 3), (3, 3), (1, 1), (1, 1), "SAME"),
    "wide": ((2, 3, 300, 9, 8), (3, 5), (1, 1), (1, 1), "SAME"),
    "even kernel": ((3, 13, 10, 4, 6), (2, 4), (1, 1), (1, 1), "SAME"),
    "inside": ((19, 13, 10, 4, 6), (3, 2), (1, 1), (1, 1), "VALID"),
    "strides": ((33, 8, 8, 8, 19), (3, 3), (2, 2), (1, 1), "SAME"),
    "odd strides": ((2, 9, 11, 4, 6), (5, 3), (2, 3), (1, 1), "SAME"),
    "strides inside": ((3, 13, 10, 4, 6), (2, 3), (3, 2), (1, 1), "VALID"),
    "large strides": ((3, 6, 7, 9, 5), (1, 1), (2, 2), (1, 1), "SAME"),
    "dilation": ((3, 9, 10, 4, 6), (3, 2), (1, 1), (2, 3), "SAME"),
    "dilation inside": ((3, 9, 10, 4, 6), (2, 3), (1, 1), (3, 2), "VALID"),
}


def case(name, density=0.3):
    """Return arrays: images, kernel, mask and bias."""
    (examples, *size, inputs, outputs), kernel, *_ = SHAPES[name]
    random = np.random.default_rng(0)
    shape = (*kernel, inputs, outputs)
    mask = random.random(shape) < density
    # An output without connections.
    mask[..., 0] = False
    arrays = (
        random.normal(size=(examples, *size, inputs)),
        random.normal(size=shape) * mask,
        mask,
        random.normal(size=outputs),
    )
    return [array.astype("float32") for array in arrays]


def by_output(array):
    """Return a kernel as a matrix, outputs first."""
    return array.reshape(-1, array.shape[-1]).T


def differentiate(function, variables):
    """Return outputs and the gradients of a sum of their squares."""
    with tf.GradientTape() as tape:
        tape.watch(variables)
        y = function(*variables)
        loss = tf.reduce_sum(y * y)
    return [y, *tape.gradient(loss, variables)]


def expected(name, images, kernel, bias):
    _, _, strides, dilation, padding = SHAPES[name]
    # TensorFlow differentiates no dilated kernels on processors.
    steps = zip(kernel.shape, dilation, strict=False)
    size = [(n - 1) * step + 1 for n, step in steps]
    spread = np.zeros((*size, *kernel.shape[2:]), "float32")
    spread[:: dilation[0], :: dilation[1]] = kernel

    def convolved(x, kernel, bias):
        return tf.nn.relu(tf.nn.conv2d(x, kernel, strides, padding) + bias)

    variables = [*map(tf.constant, (images, spread, bias))]
    y, dx, dkernel, dbias = differentiate(convolved, variables)
    return y, dx, dkernel.numpy()[:: dilation[0], :: dilation[1]], dbias


def found(name, images, kernel, mask, bias):
    _, size, strides, dilation, padding = SHAPES[name]
    mask = by_output(mask) != 0
    matrix = csr(mask.T)
    settings = (*size, *strides, *dilation, int(padding == "SAME"))

    def convolved(x, values, bias):
        structure = map(tf.constant, (matrix.indices, matrix.indptr))
        return convolve(x, values, *structure, bias, settings, True)

    variables = [*map(tf.constant, (images, by_output(kernel)[mask], bias))]
    return differentiate(convolved, variables)


@pytest.mark.parametrize("name", SHAPES)
def test_outputs_and_gradients_are_those_of_the_dense_kernel(name):
    images, kernel, mask, bias = case(name)
    y, dx, dkernel, dbias = expected(name, images, kernel, bias)
    dvalues = by_output(dkernel)[by_output(mask) != 0]
    numbers = found(name, images, kernel, mask, bias)
    for one, two in zip(numbers, (y, dx, dvalues, dbias), strict=True):
        scale = np.abs(two).max() + 1
        np.testing.assert_allclose(one / scale, two / scale, atol=1e-5)


@pytest.mark.parametrize("name", ["tiles", "one image", "strides"])
def test_results_do_not_depend_on_the_number_of_threads(name, monkeypatch):
    images, *others = case(name)
    # So much work that threads share it.
    images = images.repeat(1 + 200 // len(images), axis=0)
    results = []
    for number in (1, 2, 5):
        monkeypatch.setattr(csr_products, "threads", lambda n=number: n)
        results.append(found(name, images, *others))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_no_images_have_no_outputs_and_gradients_of_zero():
    images, kernel, mask, bias = case("odd")
    y, dx, dvalues, dbias = found("odd", images[:0], kernel, mask, bias)
    assert y.shape == (0, 7, 9, 5)
    assert dx.shape == (0, 7, 9, 3)
    assert not np.any(dvalues) and not np.any(dbias)


def test_what_is_not_a_number_stays_in_its_image():
    images, kernel, mask, bias = case("tiles")
    images[3, 4, 4] = np.nan
    y, dx, *_ = found("tiles", images, kernel, mask, bias)
    for array in (y, dx):
        others = np.delete(array, 3, axis=0)
        assert np.isnan(array[3]).any()
        assert np.isfinite(others).all()
