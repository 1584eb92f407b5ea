"""Probe gradients are those of the dense effective kernel."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.callbacks.reallocation.probe import ProbeGradients
from cb.callbacks.reallocation.probe_batches import Batches
from cb.distribute.variables import read
from cb.errors import InputError
from cb.errors import RunError
from cb.layers.masked import masked_kernels


def dense_gradients(model, batch):
    """Differentiate the stripped model, whose kernels are the products."""
    plain = cb.strip(model)
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kernels = [
        layer.kernel
        for layer in plain.layers
        if isinstance(layer, keras.layers.Dense)
    ]
    x, y = batch
    with tf.GradientTape() as tape:
        loss = loss_function(y, plain(x, training=False))
    return [g.numpy() for g in tape.gradient(loss, [k.value for k in kernels])]


def probe(model, dataset):
    return ProbeGradients(model, masked_kernels(model), Batches(dataset))


def test_equals_the_gradient_of_the_dense_effective_kernel(
    build_model, batches, compile_model
):
    model = compile_model(build_model())
    for actual, expected in zip(
        probe(model, batches())(0),
        dense_gradients(model, next(iter(batches()))),
        strict=True,
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)
        assert np.mean(actual != 0.0) > 0.8


def test_nothing_of_the_model_moves(build_model, batches, compile_model):
    model = compile_model(build_model(batch_norm=True))
    before = [read(variable) for variable in model.variables]
    first = probe(model, batches())(0)
    after = [read(variable) for variable in model.variables]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    # Dropout draws the same, since its seed has not moved.
    for one, two in zip(first, probe(model, batches())(0), strict=True):
        np.testing.assert_array_equal(one, two)


def test_layers_are_no_longer_switched_afterwards(
    build_model, batches, compile_model
):
    model = compile_model(build_model())
    probe(model, batches())(0)
    assert not any(k.layer.straight_through for k in masked_kernels(model))


def test_two_replicas_equal_one(
    build_model, batches, compile_model, two_replicas
):
    single = compile_model(build_model())
    with two_replicas.scope():
        double = compile_model(build_model())
    for index in range(2):
        for one, two in zip(
            probe(single, batches())(index),
            probe(double, batches())(index),
            strict=True,
        ):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def test_too_small_a_batch_for_the_replicas_is_refused(
    build_model, batches, compile_model, two_replicas
):
    with two_replicas.scope():
        model = compile_model(build_model())
    with pytest.raises(InputError, match="at least 2 examples.*Received: 1"):
        probe(model, batches(size=1))(0)


def test_inputs_without_targets_are_refused(
    build_model, batches, compile_model
):
    inputs = batches().map(lambda x, y: x)
    with pytest.raises(InputError, match="must have targets.*inputs alone"):
        probe(compile_model(build_model()), inputs)(0)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_low_precision_is_near_float32(
    dtype, build_model, batches, compile_model
):
    exact = probe(compile_model(build_model()), batches())(0)
    model = compile_model(build_model(dtype=dtype), "sgd", auto_scale_loss=True)
    if dtype == "mixed_float16":
        model.optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD()
        )
    for one, two in zip(exact, probe(model, batches())(0), strict=True):
        assert two.dtype == np.float32
        np.testing.assert_allclose(one, two, atol=0.02 * np.abs(one).max())


def test_a_loss_scale_that_overflows_is_lowered(
    build_model, batches, compile_model
):
    scaled = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(), initial_scale=2.0**40
    )
    model = compile_model(build_model(dtype="mixed_float16"), scaled)
    model.optimizer.build(model.trainable_variables)
    exact = probe(compile_model(build_model()), batches())(0)
    for one, two in zip(exact, probe(model, batches())(0), strict=True):
        np.testing.assert_allclose(one, two, atol=0.02 * np.abs(one).max())


def test_gradients_that_are_not_finite_are_an_error(build_model, compile_model):
    model = compile_model(build_model())
    bad = tf.data.Dataset.from_tensors(
        (np.full((4, 6), np.inf, "float32"), np.zeros(4, "int32"))
    )
    with pytest.raises(RunError, match="not finite"):
        probe(model, bad)(0)


def test_sample_weights_count(build_model, batches, compile_model):
    model = compile_model(build_model())
    x, y = next(iter(batches(size=4)))
    weighted = tf.data.Dataset.from_tensors((x, y, [2.0, 0.0, 2.0, 0.0]))
    half = tf.data.Dataset.from_tensors((x[::2], y[::2]))
    for one, two in zip(
        probe(model, weighted)(0), probe(model, half)(0), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def test_batches_are_counted_round_and_round_in_any_order():
    numbers = Batches(tf.data.Dataset.range(10).batch(2))
    for index in (3, 4, 5, 1, 1, 12, 0):
        first = 2 * (index % 5)
        np.testing.assert_array_equal(numbers(index), [first, first + 1])


def test_curvature_is_the_hessian_times_a_vector(
    strategy, build_model, batches, compile_model
):
    with strategy.scope():
        model = compile_model(build_model(sparsity=0.0))
    gradients = probe(model, batches())
    vectors = gradients(0)
    products = gradients.curvature(0, vectors)
    kernels = masked_kernels(model)
    start = [read(kernel.weight) for kernel in kernels]
    moved = []
    for sign in (1.0, -1.0):
        for kernel, old, vector in zip(kernels, start, vectors, strict=True):
            kernel.weight.assign(old + sign * 0.01 * vector)
        moved.append(gradients(0))
    for product, ahead, behind in zip(products, *moved, strict=True):
        numeric = (ahead - behind) / 0.02
        np.testing.assert_allclose(
            product, numeric, atol=2e-3 * np.abs(product).max()
        )
