"""Small models and data for the tests of callbacks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb

INPUTS, CLASSES = 6, 3


@pytest.fixture(scope="session")
def build_model():
    """Return a maker of sparse perceptrons 6-8-3, a function of its seed."""
    return _build_model


@pytest.fixture(scope="session")
def batches():
    """Return a maker of labelled batches, a function of its seed."""
    return _batches


@pytest.fixture(scope="session")
def compile_model():
    """Return a function that compiles a model for the batches."""
    return _compile


@pytest.fixture(params=[1, 2], ids=["one_replica", "two_replicas"])
def strategy(request, two_replicas):
    """Return a strategy of one replica and one of two."""
    if request.param == 1:
        return tf.distribute.get_strategy()
    return two_replicas


def _build_model(sparsity=0.5, seed=0, dtype="float32", batch_norm=False):
    inputs = keras.Input((INPUTS,))
    x = keras.layers.Dense(
        8,
        activation="tanh",
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        dtype=dtype,
    )(inputs)
    if batch_norm:
        x = keras.layers.BatchNormalization(dtype=dtype)(x)
        x = keras.layers.Dropout(0.3, seed=seed)(x)
    x = keras.layers.Dense(
        CLASSES,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 1),
        dtype=dtype,
    )(x)
    outputs = keras.layers.Activation("linear", dtype="float32")(x)
    return cb.sparsify(keras.Model(inputs, outputs), sparsity, seed=seed)


def _batches(number=8, size=4, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(number * size, INPUTS)).astype("float32")
    y = random.integers(CLASSES, size=number * size)
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(size)


def _compile(model, optimizer="sgd", **kwargs):
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **kwargs,
    )
    return model
