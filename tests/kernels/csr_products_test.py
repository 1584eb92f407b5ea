"""Products with sparse matrices: their bits, and connections that move."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from cb.kernels import csr_products
from cb.kernels.csr_products import multiply
from cb.layers.sparse_kernel import csr

INPUTS, OUTPUTS, EXAMPLES = 70, 90, 100


def matrix(seed, density=0.3):
    """Return a kernel and the tensors of its active weights."""
    random = np.random.default_rng(seed)
    mask = random.random((INPUTS, OUTPUTS)) < density
    kernel = np.where(mask, random.normal(size=mask.shape), 0)
    kernel = kernel.astype("float32")
    found = csr(mask)
    return kernel, tuple(
        map(tf.constant, (kernel.T[mask.T], found.indices, found.indptr))
    )


def normal(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def differentiate(x, values, indices, starts, bias, rectified=True):
    with tf.GradientTape() as tape:
        tape.watch([x, values, bias])
        y = multiply(x, values, indices, starts, bias, rectified)
        loss = tf.reduce_sum(y * y)
    return [y, *tape.gradient(loss, [x, values, bias])]


@pytest.mark.parametrize("examples", [5, 100, 700])
def test_results_do_not_depend_on_the_number_of_threads(examples, monkeypatch):
    _, weights = matrix(0)
    # So much work that threads share it.
    x, bias = (
        tf.constant(normal(examples, INPUTS)),
        tf.constant(normal(OUTPUTS)),
    )
    found = []
    for number in (1, 2, 5):
        monkeypatch.setattr(csr_products, "threads", lambda n=number: n)
        found.append(tf.function(differentiate)(x, *weights, bias))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_gradients_follow_connections_that_move():
    function = tf.function(differentiate, reduce_retracing=True)
    x, bias = normal(EXAMPLES, INPUTS), normal(OUTPUTS)
    # The second and third have as many connections.
    for seed, density in ((0, 0.2), (1, 0.3), (2, 0.3), (1, 0.3)):
        kernel, weights = matrix(seed, density)
        _, dx, _, dbias = function(x, *weights, bias)
        y = np.maximum(x @ kernel + bias, 0)
        np.testing.assert_allclose(dx, 2 * y @ kernel.T, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(dbias, 2 * y.sum(0), rtol=1e-3, atol=1e-3)


def test_calls_at_the_same_time_do_not_disturb_each_other():
    function = tf.function(differentiate)
    x, bias = (
        tf.constant(normal(EXAMPLES, INPUTS)),
        tf.constant(normal(OUTPUTS)),
    )
    cases = [matrix(seed)[1] for seed in range(2)]
    expected = [function(x, *weights, bias) for weights in cases]
    different = []

    def work(number):
        for _ in range(40):
            found = function(x, *cases[number], bias)
            for one, two in zip(found, expected[number], strict=True):
                if not np.array_equal(one, two):
                    different.append(number)

    workers = [threading.Thread(target=work, args=(n,)) for n in (0, 1, 0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not different
