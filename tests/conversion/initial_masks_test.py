"""Masks of a sparse model that come from the weights of a dense one."""

import keras
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.layers.masked import masked_kernels


def dense_model(dtype=None):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.Conv2D(8, 3, name="conv", dtype=dtype),
            layers.Flatten(),
            layers.Reshape((36, 8)),
            layers.LSTM(
                4,
                recurrent_initializer="glorot_uniform",
                name="lstm",
                dtype=dtype,
            ),
            layers.Dense(8, name="head", dtype=dtype),
        ]
    )


def kernels(model):
    return {k.name: np.asarray(k.weight) for k in masked_kernels(model)}


def masks(model):
    return {k.name: np.asarray(k.mask) != 0 for k in masked_kernels(model)}


def inputs():
    random = np.random.default_rng(0)
    return random.normal(size=(3, 8, 8, 4)).astype("float32")


def copied_in_place(model, *args, **kwargs):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return cb.sparsify_layers(copy, *args, **kwargs)


@pytest.mark.parametrize("sparsify", [cb.sparsify, copied_in_place])
def test_magnitude_keeps_the_largest_of_each_kernel(sparsify):
    model = dense_model()
    drawn, largest = (
        sparsify(model, 0.7, masks=kind) for kind in ("random", "magnitude")
    )
    counts = {name: mask.sum() for name, mask in masks(drawn).items()}
    weights = kernels(largest)
    for name, mask in masks(largest).items():
        magnitudes = np.abs(weights[name])
        assert mask.sum() == counts[name]
        assert magnitudes[mask].min() >= magnitudes[~mask].max()


def test_magnitude_of_blocks_is_their_mean():
    model = cb.sparsify(
        dense_model(),
        0.75,
        include="head",
        granularity="block(rows=2, columns=4)",
        masks="magnitude",
    )
    (weight,), (mask,) = kernels(model).values(), masks(model).values()
    blocks = mask.reshape(2, 2, 2, 4).swapaxes(1, 2)
    means = np.abs(weight).reshape(2, 2, 2, 4).mean((1, 3))
    best = np.unravel_index(means.argmax(), means.shape)
    assert blocks[best].all() and mask.sum() == 8


def test_magnitude_of_patterns_keeps_n_of_every_m():
    model = cb.sparsify(
        dense_model(),
        0.5,
        include="conv",
        granularity="n_by_m(n=2, m=4)",
        masks="magnitude",
    )
    (weight,), (mask,) = kernels(model).values(), masks(model).values()
    order = np.argsort(-np.abs(weight), axis=2)[:, :, :2]
    expected = np.zeros(weight.shape, bool)
    np.put_along_axis(expected, order, True, axis=2)
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("sparsify", [cb.sparsify, copied_in_place])
def test_what_strip_leaves_is_taken_up_again(sparsify, dtype):
    sparse = cb.sparsify(dense_model(dtype), 0.8, seed=3)
    stripped = cb.strip(sparse)
    again = sparsify(stripped, masks="nonzero")
    found, expected = masks(again), masks(sparse)
    assert found.keys() == expected.keys()
    for name, weight in kernels(sparse).items():
        # An active weight may be zero, most easily in bfloat16.
        active = expected[name] & (weight != 0)
        np.testing.assert_array_equal(found[name], active)
    np.testing.assert_array_equal(again(inputs()), stripped(inputs()))


@pytest.mark.parametrize(
    "granularity, sparsity",
    [("filter", 0.5), ("block(rows=2, columns=2)", 0.5), ("n_by_m", 0.5)],
)
def test_zeros_in_groups_are_taken_up_as_groups(granularity, sparsity):
    options = {"granularity": granularity, "distribution": "uniform"}
    options["include"] = ["conv", "head"]
    sparse = cb.sparsify(dense_model(), sparsity, **options)
    again = cb.sparsify(cb.strip(sparse), masks="nonzero", **options)
    for name, mask in masks(sparse).items():
        np.testing.assert_array_equal(masks(again)[name], mask)


def test_patterns_of_many_weights_are_taken_up():
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(3)])
    pattern = "n_by_m(n=8, m=32)"
    sparse = cb.sparsify(model, 0.75, masks="magnitude", granularity=pattern)
    again = cb.sparsify(cb.strip(sparse), masks="nonzero", granularity=pattern)
    for one, two in zip(
        masked_kernels(sparse), masked_kernels(again), strict=True
    ):
        np.testing.assert_array_equal(one.mask, two.mask)


def test_kernels_without_zeros_are_named_and_full():
    stripped = cb.strip(cb.sparsify(dense_model(), 0.8, include="lstm"))
    with pytest.warns(UserWarning, match="Kernels without zeros.*conv, head"):
        again = cb.sparsify(stripped, masks="nonzero")
    assert masks(again)["head"].all() and masks(again)["conv"].all()
    only = cb.sparsify(stripped, masks="nonzero", include="lstm")
    assert (
        set(masks(only)) == {"lstm/cell/kernel", "lstm/cell"}
        or len(masks(only)) == 2
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"masks": "largest"}, "kind of `masks`.*'largest'"),
        ({"sparsity": 0.5, "masks": "nonzero"}, "`sparsity` must be None"),
        ({}, r"`sparsity` must be a number in \[0, 1\)"),
        ({"masks": "magnitude"}, r"`sparsity` must be a number in \[0, 1\)"),
        ({"masks": "nonzero"}, "no zeros in any of .*'conv'"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        cb.sparsify(dense_model(), **arguments)


def test_an_empty_kernel_is_refused_by_name():
    model = dense_model()
    head = model.get_layer("head")
    head.kernel.assign(keras.ops.zeros_like(head.kernel))
    with pytest.raises(InputError, match=r"only zeros in \['head'\]"):
        cb.sparsify(model, masks="nonzero")


@pytest.mark.parametrize(
    "granularity", ["filter", "block(rows=2, columns=2)", "n_by_m"]
)
def test_zeros_that_do_not_fit_the_granularity_are_refused(granularity):
    stripped = cb.strip(cb.sparsify(dense_model(), 0.5, include="conv"))
    with pytest.raises(InputError, match=r"do not fit in \['conv'\]"):
        cb.sparsify(
            stripped, masks="nonzero", granularity=granularity, include="conv"
        )
