"""Replacing batch normalization in models of others."""

import keras
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.layers import GhostBatchNormalization
from cb.layers import replace_batch_normalization


def model(**kwargs):
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm", momentum=0.8, **kwargs)(x)
    x = layers.Flatten()(x)
    tail = keras.Sequential(
        [keras.Input((144,)), layers.Dense(6), layers.BatchNormalization()]
    )
    outputs = layers.Dense(3)(layers.Dropout(0.5)(tail(x)))
    return keras.Model(inputs, outputs, name="mine")


def images(number=9):
    rng = np.random.default_rng(0)
    return rng.normal(size=(number, 8, 8, 1)).astype("float32")


def test_nested_layers_are_replaced_and_outputs_kept():
    old = model()
    old(images(), training=True)
    new = replace_batch_normalization(old, 4, remainder="drop")
    ghosts = [
        layer
        for layer in new._flatten_layers()
        if isinstance(layer, GhostBatchNormalization)
    ]
    assert len(ghosts) == 2
    assert ghosts[0].name == "norm"
    assert ghosts[0].momentum == 0.8
    assert ghosts[0].remainder == "drop"
    assert np.array_equal(old(images()), new(images()))
    assert len(old.variables) == len(new.variables)
    for ours, theirs in zip(new.variables, old.variables, strict=True):
        assert np.array_equal(ours, theirs)


def test_copy_is_independent_of_the_model():
    old = model()
    new = replace_batch_normalization(old, 4)
    before = [np.array(variable) for variable in old.variables]
    new(images(), training=True)
    for variable, value in zip(old.variables, before, strict=True):
        assert np.array_equal(variable, value)


def test_masks_of_a_sparse_model_are_kept():
    sparse = cb.sparsify(model(), 0.5)
    new = replace_batch_normalization(sparse, 4)
    assert np.array_equal(sparse(images()), new(images()))
    kernels = cb.layers.masked.masked_kernels
    for ours, theirs in zip(kernels(new), kernels(sparse), strict=True):
        assert np.array_equal(ours.mask, theirs.mask)
    assert any(np.any(np.array(k.mask) == 0) for k in kernels(new))


def test_ghosts_get_another_size():
    new = replace_batch_normalization(model(), 4, unbiased_variance=True)
    again = replace_batch_normalization(new, 8)
    layer = again.get_layer("norm")
    assert layer.virtual_batch_size == 8
    assert layer.unbiased_variance


def test_application_of_keras():
    old = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, weights=None, classes=4
    )
    new = replace_batch_normalization(old, 2)
    x = np.repeat(images(4)[:, :4, :4], 3, -1).repeat(8, 1).repeat(8, 2)
    assert np.array_equal(old(x), new(x))


def test_synchronized_layer_is_refused_by_name():
    with pytest.raises(InputError, match="'norm'.*nothing to synchronize"):
        replace_batch_normalization(model(synchronized=True), 4)


@pytest.mark.parametrize("inside", ["time_distributed", "subclass"])
def test_what_cannot_be_replaced_is_named(inside):
    class Own(keras.layers.BatchNormalization):
        """Of a user."""

    layer = Own(name="own")
    if inside == "time_distributed":
        layer = keras.layers.BatchNormalization(name="own")
        layer = keras.layers.TimeDistributed(layer)
    known = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((4, 3)), known, layer])
    with pytest.raises(InputError, match=r"\['own'\] .*cannot be replaced"):
        cb.layers.replace_batch_normalization(model, 2)


def test_model_without_batch_normalization_is_refused():
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(InputError, match="has no `BatchNormalization`"):
        replace_batch_normalization(plain, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"virtual_batch_size": 0}, "virtual_batch_size=0"),
        ({"virtual_batch_size": 4, "remaindr": "drop"}, "remaindr"),
    ],
)
def test_wrong_argument_is_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message):
        replace_batch_normalization(model(), **arguments)
