"""Every algorithm in a real `fit`, by what it declares."""

import dataclasses
from typing import NamedTuple

import keras
import numpy as np
import pytest

import cb
from cb.callbacks.slots import slots
from cb.distribute.variables import read
from cb.distribute.variables import read_replicas
from cb.layers.masked import masked_kernels
from cb.sparsity import reallocation


def build(name):
    """Build an algorithm with events often enough for a short training."""
    kind = reallocation.get(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    wanted = {"every": 2, "end": 1.0}
    return kind(**{key: wanted[key] for key in wanted if key in fields})


def sgd(**kwargs):
    return keras.optimizers.SGD(0.1, momentum=0.9, **kwargs)


def fit(model, data, callback, first=0, last=2):
    model.fit(
        data,
        initial_epoch=first,
        epochs=last,
        callbacks=[callback],
        verbose=0,
        shuffle=False,
    )


def callback_for(name, batches, **kwargs):
    return cb.callbacks.Reallocation(build(name), batches(4, seed=9), **kwargs)


def bits(variables):
    return [read(variable).tobytes() for variable in variables]


def copy_variables(source, target):
    target.optimizer.build(target.trainable_variables)
    for sources, targets in (
        (source.variables, target.variables),
        (source.optimizer.variables, target.optimizer.variables),
    ):
        for one, two in zip(sources, targets, strict=True):
            two.assign(one)


@pytest.fixture(scope="module", params=reallocation.names())
def name(request):
    """Return an algorithm, whose tests share its trainings."""
    return request.param


class Training(NamedTuple):
    """A model, its callback, and how many weights were active at first."""

    model: keras.Model
    callback: cb.callbacks.Reallocation
    start: list[int]


def counts(model):
    return [
        np.count_nonzero(read(kernel.mask)) for kernel in masked_kernels(model)
    ]


@pytest.fixture(scope="module")
def whole(name, build_model, batches, compile_model):
    """Train for two epochs without a stop."""
    model = compile_model(build_model(), sgd())
    trained = Training(model, callback_for(name, batches), counts(model))
    fit(model, batches(5), trained.callback)
    return trained


@pytest.fixture(scope="module")
def half(name, build_model, batches, compile_model):
    """Train for the first of two epochs."""
    model = compile_model(build_model(), sgd())
    callback = callback_for(name, batches, total_steps=10)
    trained = Training(model, callback, counts(model))
    fit(model, batches(5), callback, last=1)
    return trained


def test_counts_and_zeros_after_training(whole):
    model, callback, start = whole
    kernels = masked_kernels(model)
    algorithm = callback.algorithm
    numbers = counts(model)
    if algorithm.keeps_count:
        assert sum(numbers) == sum(start)
    if algorithm.keeps_layer_counts:
        assert numbers == start
    found = slots(model.optimizer, [kernel.weight for kernel in kernels])
    for kernel, (slot,) in zip(kernels, found, strict=True):
        mask = read(kernel.mask)
        assert set(np.unique(mask)) <= {0.0, 1.0}
        inactive = mask == 0
        weights = read(kernel.weight)
        assert np.isfinite(weights).all()
        if algorithm.zero_inactive:
            assert not weights[inactive].any()
            assert not np.signbit(weights[inactive]).any()
        else:
            assert weights[inactive].any()
        if not algorithm.straight_through:
            assert not read(slot.variable)[inactive].any()
        assert not kernel.layer.straight_through


def test_low_precision_keeps_counts_and_zeros(
    name, build_model, batches, compile_model
):
    model = compile_model(build_model(dtype="float16"), sgd())
    kernels = masked_kernels(model)
    start = sum(counts(model))
    callback = callback_for(name, batches)
    fit(model, batches(5), callback, last=1)
    masks = [read(kernel.mask) != 0 for kernel in kernels]
    if callback.algorithm.keeps_count:
        assert sum(mask.sum() for mask in masks) == start
    for kernel, mask in zip(kernels, masks, strict=True):
        weights = read(kernel.weight)
        assert weights.dtype == np.float16
        assert np.isfinite(weights).all()
        if callback.algorithm.zero_inactive:
            assert not weights[~mask].any()


def test_a_resumed_training_has_the_same_bits(
    name, whole, half, build_model, batches, compile_model
):
    model = compile_model(build_model(seed=5), sgd())
    copy_variables(half.model, model)
    resumed = callback_for(name, batches)
    resumed.set_state(half.callback.get_state())
    fit(model, batches(5), resumed, first=1)
    for one, other in (
        (model, whole.model),
        (model.optimizer, whole.model.optimizer),
    ):
        assert bits(one.variables) == bits(other.variables)
    states = (whole.callback.get_state(), resumed.get_state())
    assert list(states[0]) == list(states[1])
    for key, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][key])


def test_two_replicas_equal_one(
    name, half, build_model, batches, compile_model, two_replicas
):
    with two_replicas.scope():
        double = compile_model(build_model(), sgd())
    callback = callback_for(name, batches, total_steps=10)
    fit(double, batches(5), callback, last=1)
    for one, two in zip(
        masked_kernels(half.model), masked_kernels(double), strict=True
    ):
        np.testing.assert_array_equal(read(one.mask), read(two.mask))
        np.testing.assert_allclose(
            read(one.weight), read(two.weight), rtol=1e-3, atol=1e-5
        )
        for variable in (two.mask, two.weight):
            assert len(read_replicas([variable])[0]) == 1


def test_gradient_accumulation_equals_larger_batches(
    name, build_model, batches, compile_model
):
    large = compile_model(build_model(), sgd())
    small = compile_model(build_model(), sgd(gradient_accumulation_steps=2))
    # Penalties count once a batch, as any Keras regularizer does.
    fit(large, batches(4, size=8), callback_for(name, batches), last=1)
    fit(small, batches(8, size=4), callback_for(name, batches), last=1)
    for one, two in zip(
        masked_kernels(large), masked_kernels(small), strict=True
    ):
        np.testing.assert_array_equal(read(one.mask), read(two.mask))
        np.testing.assert_allclose(
            read(one.weight), read(two.weight), rtol=1e-3, atol=1e-5
        )
