"""Composite layers with masks, trained on two replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import cb
from cb.distribute.variables import read
from cb.distribute.variables import read_replicas
from cb.layers.masked import masked_kernels

STEPS, WIDTH = 6, 8


def attention(x):
    return layers.MultiHeadAttention(2, 4)(x, x)


KINDS = {
    "attention": (attention, 4),
    "lstm": (layers.LSTM(5, return_sequences=True), 2),
    "separable": (layers.SeparableConv1D(6, 3), 2),
}


@pytest.fixture(scope="module")
def batches():
    random = np.random.default_rng(0)
    x = random.normal(size=(32, STEPS, WIDTH)).astype(np.float32)
    y = random.integers(0, 3, 32)
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_inactive_weights_stay_zero_on_every_replica(
    kind, batches, two_replicas
):
    layer, number = KINDS[kind]
    keras.utils.set_random_seed(0)
    with two_replicas.scope():
        inputs = keras.Input((STEPS, WIDTH))
        x = layers.GlobalAveragePooling1D()(layer(inputs))
        model = keras.Model(inputs, layers.Dense(3, name="head")(x))
        model = cb.sparsify(model, 0.5, exclude="head")
        model.compile(
            keras.optimizers.SGD(0.1, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    kernels = masked_kernels(model)
    assert len(kernels) == number
    before = [read(kernel.weight) for kernel in kernels]
    masks = [read(kernel.mask) for kernel in kernels]
    mover = cb.callbacks.Reallocation("set(every=2, end=1.0)")
    model.fit(batches, callbacks=[mover], shuffle=False, verbose=0)
    moved = False
    for kernel, old, old_mask in zip(kernels, before, masks, strict=True):
        # One array where all replicas hold the same.
        (weight,), (mask,) = read_replicas([kernel.weight, kernel.mask])
        assert not weight[mask == 0].any()
        assert mask.sum() == old_mask.sum() < mask.size
        stayed = (mask * old_mask).astype(bool)
        assert not np.array_equal(weight[stayed], old[stayed])
        moved |= not np.array_equal(mask, old_mask)
    assert moved
