"""Optimizers, learning rates and targets as flags say."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cb.callbacks.slots import batch_counter
from cb.config import Config
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import masked_kernels
from cb.training import assembly
from cb.training import compilation
from cb.training.data import build_data


def configuration(**values):
    """Return a complete configuration of a small model."""
    values = {"model": "mlp(units=(16, 16))", "epochs": 4, **values}
    return assembly.completed(Config(**values))


def compiled(**values):
    """Return data and compiled model of a configuration, on one replica."""
    config = configuration(**values)
    data = build_data(config, 1)
    model = assembly.build_model(config, data.source)
    compilation.compile_model(
        model, config, data.training_length(), data.source.num_classes
    )
    return data, model


def rate(model, step):
    model.optimizer.iterations.assign(step)
    return float(read(model.optimizer.learning_rate))


LARGE = {"batch_size": 200, "reference_batch_size": 50}


@pytest.mark.parametrize(
    "scaling, factor", [("none", 1.0), ("sqrt", 2.0), ("linear", 4.0)]
)
def test_the_learning_rate_follows_the_batch(scaling, factor):
    _, model = compiled(
        learning_rate=0.1, learning_rate_scaling=scaling, **LARGE
    )
    assert rate(model, 0) == pytest.approx(0.1 * factor)


def test_accumulated_batches_count_for_the_scaling():
    _, model = compiled(
        learning_rate=0.1,
        learning_rate_scaling="linear",
        gradient_accumulation=4,
        batch_size=50,
        reference_batch_size=50,
    )
    assert float(read(model.optimizer.learning_rate)) == pytest.approx(0.4)


def test_warm_up_starts_from_the_unscaled_learning_rate():
    # 1294 // 200 updates an epoch.
    flags = {"learning_rate_schedule": "constant", "warmup_epochs": 2, **LARGE}
    _, model = compiled(learning_rate_scaling="linear", **flags)
    for step, expected in ((0, 0.1), (6, 0.25), (12, 0.4), (20, 0.4)):
        assert rate(model, step) == pytest.approx(expected)
    _, model = compiled(**flags)
    assert rate(model, 0) == 0.0
    assert rate(model, 6) == pytest.approx(0.05)


def test_an_adapted_regime_has_as_many_updates_and_later_boundaries():
    data, model = compiled(
        learning_rate_schedule="step(at=('2ep',))",
        regime_adaptation=True,
        **LARGE,
    )
    assert data.epochs == 4 * 4
    assert data.training_length().total_steps == 16 * 6
    assert rate(model, 8 * 6 - 1) == pytest.approx(0.1)
    assert rate(model, 8 * 6) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "values",
    [{"learning_rate_scaling": "sqrt"}, {"regime_adaptation": True}],
)
def test_a_missing_reference_batch_is_refused(values):
    with pytest.raises(InputError, match="`reference_batch_size` must be giv"):
        compiled(**values)


def test_accumulation_counts_updates_everywhere():
    data, model = compiled(
        gradient_accumulation=4,
        learning_rate_schedule="step(at=(3,))",
        optimizer="sgd",
    )
    # 25 batches of 50 hold six updates of four.
    assert data.batches.steps_per_epoch == 24
    assert data.updates_per_epoch == 6
    assert data.training_length().total_steps == 4 * 6
    counter = batch_counter(model.optimizer)
    for batches, expected in ((11, 0.1), (12, 0.01)):
        counter.assign(batches)
        assert float(read(model.optimizer.learning_rate)) == pytest.approx(
            expected
        )


def test_four_accumulated_batches_train_as_one_four_times_as_large():
    values = {"optimizer": "sgd(momentum=0.9)", "sparsity": 0.5}
    weights = []
    for flags in (
        {"batch_size": 50, "gradient_accumulation": 4},
        {"batch_size": 200},
    ):
        data, model = compiled(**values, **flags)
        steps = 2 * data.batches.steps_per_epoch
        model.fit(data.batches.dataset(0, steps), shuffle=False, verbose=0)
        weights.append([k.weight for k in masked_kernels(model)])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(read(one), read(other), atol=1e-5)


def test_what_replicas_cannot_do_is_refused(two_replicas):
    with two_replicas.scope():
        with pytest.raises(InputError, match="`gradient_accumulation` must"):
            compiled(gradient_accumulation=2)
        with pytest.raises(InputError, match="`global_clipnorm` needs"):
            compiled(global_clipnorm=1.0)
        _, model = compiled(optimizer="radam", global_clipnorm=1.0)
    assert model.optimizer.global_clipnorm == 1.0


def test_the_whole_gradient_is_clipped():
    _, model = compiled(global_clipnorm=0.25)
    assert model.optimizer.global_clipnorm == 0.25


def test_training_targets_are_smoothed_and_scores_are_not():
    data, model = compiled(label_smoothing=0.2)
    _, targets = next(iter(data.batches.dataset(0, 1)))
    np.testing.assert_allclose(np.sort(targets)[:, :-1], 0.02, atol=1e-6)
    np.testing.assert_allclose(np.max(targets, axis=1), 0.82, atol=1e-6)
    _, exact = next(iter(data.test))
    assert set(np.unique(exact)) == {0.0, 1.0}
    logits = model.predict(data.test, verbose=0)
    scores = model.evaluate(data.test, return_dict=True, verbose=0)
    labels = data.source.test.labels
    accuracy = np.mean(logits.argmax(axis=1) == labels)
    assert scores["accuracy"] == pytest.approx(accuracy)
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -np.mean(logs[np.arange(len(labels)), labels])
    assert scores["loss"] == pytest.approx(loss, abs=1e-5)


def test_mixed_batches_are_a_function_of_the_step():
    data, _ = compiled(mixup=1.0)
    plain, _ = compiled()
    whole = list(data.batches.dataset(0, 4))
    resumed = list(data.batches.dataset(2, 4))
    for one, other in zip(whole[2:], resumed, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)
    shares = [np.max(targets, axis=1).min() for _, targets in whole]
    assert len(set(shares)) == 4
    for (mixed, targets), (features, _) in zip(
        whole, plain.batches.dataset(0, 4), strict=True
    ):
        np.testing.assert_allclose(np.sum(targets, axis=1), 1.0, atol=1e-6)
        # What is mixed are the examples of the same batch.
        np.testing.assert_allclose(
            np.mean(mixed, axis=0), np.mean(features, axis=0), atol=1e-5
        )


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_noise_weighs_training_examples_and_nothing_else(mixup):
    flags = {"sparsity": 0.5, "mixup": mixup}
    data, model = compiled(multiplicative_noise=0.5, **flags)
    plain, _ = compiled(**flags)
    batches = list(data.batches.dataset(0, 3))
    for noisy, exact in zip(batches, plain.batches.dataset(0, 3), strict=True):
        *examples, weights = noisy
        for one, other in zip(examples, exact, strict=True):
            np.testing.assert_array_equal(one, other)
        assert abs(np.std(weights) - 0.5) < 0.2
    assert len({float(weights[0]) for *_, weights in batches}) == 3
    assert len(data.batches.probe(0)) == 2
    x, y, weights = batches[0]
    losses = keras.losses.CategoricalCrossentropy(
        from_logits=True, reduction=None
    )
    if not mixup:
        losses = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction=None
        )
    expected = np.mean(weights * losses(y, model(x, training=True)))
    loss = model.train_on_batch(x, y, weights, return_dict=True)["loss"]
    assert loss == pytest.approx(expected, rel=1e-5)


def test_chunks_count_alike_whatever_their_size():
    # As PyTorch's `chunk(3)` cuts 40 examples.
    flags = {
        "model": "f1",
        "sparsity": 0.0,
        "reallocation": "static",
        "learning_rate": 0.5,
        "learning_rate_schedule": "constant",
        "optimizer": "sgd",
        "batch_size": 48,
    }
    chunk = "ghost(size=16, remainder='torch_chunk', batch_size=48)"
    data, ours = compiled(normalization=chunk, **flags)
    _, theirs = compiled(**flags)
    x, y = (np.array(part) for part in data.batches.probe(0))
    x, y = x[:40], y[:40]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    sums, losses = [0.0] * len(theirs.trainable_variables), []
    for start in (0, 14, 28):
        piece = slice(start, start + 14)
        with tf.GradientTape() as tape:
            value = loss(y[piece], theirs(x[piece], training=True))
        variables = [v.value for v in theirs.trainable_variables]
        found = tape.gradient(value, variables)
        sums = [a + b for a, b in zip(sums, found, strict=True)]
        losses.append(float(value) * len(y[piece]))
    expected = [
        v.numpy() - 0.5 * total / 3
        for v, total in zip(theirs.trainable_variables, sums, strict=True)
    ]
    logged, *_ = ours.train_on_batch(x, y)
    # Recorded is the mean over the examples.
    assert logged == pytest.approx(sum(losses) / 40, rel=1e-5)
    for variable, value in zip(ours.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, atol=2e-6)
