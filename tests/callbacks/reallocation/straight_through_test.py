"""Training steps in which gradients reach inactive weights."""

import dataclasses
from typing import ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.schedules import PeriodicSchedule
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import WeightPenalty

# These trainings are shorter than what is asked of the algorithms.
pytestmark = pytest.mark.filterwarnings("ignore::cb.errors.NotReached")


def fit(model, data, algorithm):
    callback = cb.callbacks.Reallocation(algorithm)
    model.fit(data, callbacks=[callback], verbose=0, shuffle=False)


def sgd():
    return keras.optimizers.SGD(0.1, momentum=0.9)


@dataclasses.dataclass(frozen=True)
class Through(Algorithm):
    """Trains all weights and keeps what they become."""

    straight_through: ClassVar[bool] = True
    zero_inactive: ClassVar[bool] = False

    every: int = 3

    def period(self, training_length):
        return PeriodicSchedule(self.every, 0, 10**9)

    def update(self, layers, state, *, event, seed):
        return {key: layer.mask for key, layer in layers.items()}, state


@dataclasses.dataclass(frozen=True)
class ThroughZero(Through):
    """Gives the optimizer all gradients, but keeps inactive weights zero."""

    zero_inactive: ClassVar[bool] = True
    needs_momentum: ClassVar[bool] = True

    seen: list = dataclasses.field(default_factory=list)

    def update(self, layers, state, *, event, seed):
        self.seen.extend(layer.momentum for layer in layers.values())
        return super().update(layers, state, event=event, seed=seed)


@dataclasses.dataclass(frozen=True)
class Half(Through):
    """Trains active weights and the first row of the inactive ones."""

    def init(self, layers):
        rows = {key: layer.mask.copy() for key, layer in layers.items()}
        for row in rows.values():
            row[0] = True
        return rows

    def backward(self, state):
        return dict(state)


def dense_step(model, batch, rate):
    """Step all raw kernels down the gradient of the effective ones."""
    plain = cb.strip(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kernels = [layer.kernel for layer in plain.layers if layer.weights]
    with tf.GradientTape() as tape:
        value = loss(batch[1], plain(batch[0]))
    gradients = tape.gradient(value, [kernel.value for kernel in kernels])
    return [
        read(k.weight) - rate * g.numpy()
        for k, g in zip(masked_kernels(model), gradients, strict=True)
    ]


def test_straight_through_training_moves_all_weights(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), keras.optimizers.SGD(0.1))
    expected = dense_step(model, next(iter(batches(1))), 0.1)
    fit(model, batches(1), Through())
    for kernel, values in zip(masked_kernels(model), expected, strict=True):
        np.testing.assert_allclose(
            read(kernel.weight), values, rtol=1e-5, atol=1e-7
        )


def test_only_the_backward_set_trains(build_model, batches, compile_model):
    model = compile_model(build_model(), keras.optimizers.SGD(0.1))
    start = [read(kernel.weight) for kernel in masked_kernels(model)]
    expected = dense_step(model, next(iter(batches(1))), 0.1)
    fit(model, batches(1), Half())
    for kernel, old, values in zip(
        masked_kernels(model), start, expected, strict=True
    ):
        trains = read(kernel.mask) != 0
        trains[0] = True
        np.testing.assert_allclose(
            read(kernel.weight),
            np.where(trains, values, old),
            rtol=1e-5,
            atol=1e-7,
        )
        np.testing.assert_array_equal(
            read(kernel.weight)[~trains], old[~trains]
        )


def test_momentum_is_dense_while_weights_are_zero(
    strategy, build_model, batches, compile_model
):
    with strategy.scope():
        model = compile_model(build_model(), sgd())
    expected = dense_step(model, next(iter(batches(1))), 1.0)
    kernels = masked_kernels(model)
    start = [read(k.weight) for k in kernels]
    algorithm = ThroughZero(every=1)
    fit(model, batches(1), algorithm)
    for kernel, seen, values, old in zip(
        kernels, algorithm.seen, expected, start, strict=True
    ):
        inactive = read(kernel.mask) == 0
        assert not read(kernel.weight)[inactive].any()
        assert read(kernel.weight)[~inactive].all()
        # The velocity of Keras holds the learning rate.
        np.testing.assert_allclose(
            seen, 0.1 * (values - old), rtol=1e-4, atol=1e-7
        )


def test_the_training_step_is_as_before_afterwards(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), keras.optimizers.SGD(0.1))
    fit(model, batches(1), Half())
    before = [read(kernel.weight) for kernel in masked_kernels(model)]
    model.fit(batches(1), verbose=0, shuffle=False)
    for kernel, old in zip(masked_kernels(model), before, strict=True):
        inactive = read(kernel.mask) == 0
        np.testing.assert_array_equal(
            read(kernel.weight)[inactive], old[inactive]
        )
        assert (read(kernel.weight)[~inactive] != old[~inactive]).any()


def test_constraints_are_kept_and_given_back(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    constraint = keras.constraints.MaxNorm(0.01)
    kernel = masked_kernels(model)[0]
    kernel.weight.constraint = constraint
    fit(model, batches(1), ThroughZero())
    assert kernel.weight.constraint is constraint
    norms = np.linalg.norm(read(kernel.weight), axis=0)
    assert np.all(norms < 0.01 + 1e-6)
    assert norms.max() > 0.009


@dataclasses.dataclass(frozen=True)
class Penalized(Through):
    """Pulls on active and inactive weights."""

    def penalties(self, layers):
        return dict.fromkeys(layers, WeightPenalty(0.25, 0.5, 2.0))


def test_penalties_are_added_to_the_gradient(
    strategy, build_model, batches, compile_model
):
    with strategy.scope():
        model = compile_model(build_model(), keras.optimizers.SGD(0.1))
    expected = dense_step(model, next(iter(batches(1))), 0.1)
    start = [read(kernel.weight) for kernel in masked_kernels(model)]
    fit(model, batches(1), Penalized())
    for kernel, old, values in zip(
        masked_kernels(model), start, expected, strict=True
    ):
        active = read(kernel.mask) != 0
        pull = np.where(active, 0.5 * old + 0.25 * np.sign(old), 2.0 * old)
        np.testing.assert_allclose(
            read(kernel.weight), values - 0.1 * pull, rtol=1e-4, atol=1e-6
        )


def test_wirings_are_the_largest_weights_of_every_forward_pass(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    fit(model, batches(5), "discover_wirings")
    for kernel in masked_kernels(model):
        weights, mask = read(kernel.weight), read(kernel.mask) != 0
        assert np.abs(weights[mask]).min() >= np.abs(weights[~mask]).max()
        assert weights[~mask].all()
    # Evaluation, and what is exported, use no others.
    ((x, _),) = batches(1, size=32)
    plain = cb.strip(model)
    np.testing.assert_array_equal(model(x), plain(x))
    for kernel, layer in zip(
        masked_kernels(model),
        [layer for layer in plain.layers if layer.weights],
        strict=True,
    ):
        expected = np.where(read(kernel.mask) != 0, read(kernel.weight), 0.0)
        np.testing.assert_array_equal(read(layer.kernel), expected)


def test_an_optimizer_without_momentum_is_refused(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), keras.optimizers.SGD())
    with pytest.raises(ValueError, match="keeps no momentum"):
        fit(model, batches(), ThroughZero())


def test_averages_of_inactive_weights_are_refused(
    build_model, batches, compile_model
):
    optimizer = keras.optimizers.SGD(momentum=0.9, use_ema=True)
    model = compile_model(build_model(), optimizer)
    with pytest.raises(ValueError, match="use_ema=True"):
        fit(model, batches(), ThroughZero())
