"""Running statistics estimated over the training set."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cb.callbacks import ReestimateStatistics
from cb.errors import InputError
from cb.layers import GhostBatchNormalization


def made_model(normalization):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.Dropout(0.5),
            normalization,
            keras.layers.Dense(2),
        ]
    )
    model.compile("sgd", "mse")
    return model


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3)).astype("float32")
    return x, rng.normal(size=(20, 2)).astype("float32")


def dataset():
    return tf.data.Dataset.from_tensor_slices(data()).batch(8)


def without_dropout(model):
    model.layers[1].rate = 0.0
    return model


@pytest.mark.parametrize("mode", ["per_ghost", "per_step", "paper"])
def test_means_over_ghosts(mode):
    ghost = GhostBatchNormalization(4, running_statistics=mode)
    model = without_dropout(made_model(ghost))
    callback = ReestimateStatistics(dataset())
    model.fit(
        dataset(), epochs=2, verbose=0, shuffle=False, callbacks=[callback]
    )
    hidden = np.array(model.layers[0](data()[0]), "float64")
    ghosts = hidden.reshape(5, 4, 4)
    np.testing.assert_allclose(
        ghost.moving_mean, ghosts.mean(1).mean(0), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        ghost.moving_variance, ghosts.var(1).mean(0), rtol=1e-4
    )


def test_ordinary_batch_normalization_weighs_batches_by_size():
    norm = keras.layers.BatchNormalization()
    model = without_dropout(made_model(norm))
    callback = ReestimateStatistics(dataset())
    model.fit(dataset(), verbose=0, shuffle=False, callbacks=[callback])
    hidden = np.array(model.layers[0](data()[0]), "float64")
    np.testing.assert_allclose(
        norm.moving_mean, hidden.mean(0), rtol=1e-4, atol=1e-6
    )
    parts = np.split(hidden, [8, 16])
    variance = sum(len(part) * part.var(0) for part in parts) / 20
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-4)


def test_nothing_else_changes():
    trained = []
    for callbacks in ([], [ReestimateStatistics(dataset(), steps=1)]):
        model = made_model(GhostBatchNormalization(4))
        model.fit(
            dataset(),
            epochs=2,
            verbose=0,
            shuffle=False,
            validation_data=dataset(),
            callbacks=callbacks,
        )
        trained.append(model)
        assert model.layers[2].momentum == 0.99
        assert model.layers[2].running_statistics == "per_ghost"
    plain, estimated = trained
    for ours, theirs in zip(
        estimated.trainable_variables, plain.trainable_variables, strict=True
    ):
        assert np.array_equal(ours, theirs)
    seeds = [model.layers[1].seed_generator.state for model in trained]
    assert np.array_equal(*seeds)
    assert not np.array_equal(
        estimated.layers[2].moving_mean, plain.layers[2].moving_mean
    )


def test_evaluation_inside_fit_uses_them():
    model = without_dropout(made_model(GhostBatchNormalization(4)))
    history = model.fit(
        dataset(),
        verbose=0,
        shuffle=False,
        validation_data=dataset(),
        callbacks=[ReestimateStatistics(dataset())],
    )
    loss = model.evaluate(dataset(), verbose=0)
    assert history.history["val_loss"][0] == pytest.approx(loss, rel=1e-6)


def test_all_replicas_get_them(two_replicas):
    with two_replicas.scope():
        model = made_model(keras.layers.BatchNormalization())
    model.fit(
        dataset(),
        verbose=0,
        shuffle=False,
        callbacks=[ReestimateStatistics(dataset())],
    )
    first, second = model.layers[2].moving_mean.value.values
    assert np.array_equal(first.numpy(), second.numpy())


def test_model_without_batch_normalization_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(InputError, match="must have batch normalization"):
        model.fit(
            dataset(),
            verbose=0,
            shuffle=False,
            callbacks=[ReestimateStatistics(dataset())],
        )


def test_wrong_argument_is_one_clear_line():
    with pytest.raises(InputError, match="steps=0"):
        ReestimateStatistics(dataset(), steps=0)
