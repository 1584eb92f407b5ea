"""A dense model made sparse."""

import keras
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.layers.masked import masked_kernels


def small_model():
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, use_bias=False, name="conv_1")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.Dropout(0.5, seed=3, name="dropout")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    outputs = keras.layers.Dense(10, name="head")(x)
    return keras.Model(inputs, outputs, name="small")


def test_names_of_unnamed_inputs_are_kept_too():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    outputs = keras.layers.Dense(2)(keras.layers.Add()(inputs))
    model = keras.Model(inputs, outputs)
    sparse = cb.sparsify(model, 0.5)
    assert [layer.name for layer in sparse.layers] == [
        layer.name for layer in model.layers
    ]


def density(kernels):
    active = sum(np.count_nonzero(kernel.mask) for kernel in kernels)
    return active, sum(np.size(kernel.mask) for kernel in kernels)


def test_weights_names_and_signature_are_kept():
    model = small_model()
    sparse = cb.sparsify(model, sparsity=0.5)
    assert [layer.name for layer in sparse.layers] == [
        layer.name for layer in model.layers
    ]
    assert sparse.name == model.name
    assert sparse.input_shape == model.input_shape
    assert sparse.output_shape == model.output_shape
    assert sparse.inputs[0].name == "image"
    assert getattr(sparse, "optimizer", None) is None
    for old, new in zip(
        model.trainable_variables, sparse.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("distribution", ["uniform", "erdos_renyi", "erk"])
@pytest.mark.parametrize("sparsity", [0.0, 0.123, 0.5, 0.9])
def test_total_is_exact_to_one_connection(distribution, sparsity):
    sparse = cb.sparsify(small_model(), sparsity, distribution)
    active, size = density(masked_kernels(sparse))
    assert active == round((1 - sparsity) * size)


def test_outputs_equal_the_dense_model_with_the_same_zeros():
    model = small_model()
    sparse = cb.sparsify(model, sparsity=0.8, seed=5)
    for kernel in masked_kernels(sparse):
        layer = model.get_layer(kernel.name)
        layer.kernel.assign(layer.kernel * kernel.mask)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    np.testing.assert_array_equal(sparse(images), model(images))


def test_the_same_seed_gives_the_same_masks():
    first, second, other = (
        masked_kernels(cb.sparsify(small_model(), 0.5, seed=seed))
        for seed in (1, 1, 2)
    )
    for one, two, three in zip(first, second, other, strict=True):
        np.testing.assert_array_equal(one.mask, two.mask)
        assert not np.array_equal(one.mask, three.mask)


def test_include_and_exclude_choose_layers_by_pattern():
    model = small_model()
    names = [k.name for k in masked_kernels(cb.sparsify(model, 0.5))]
    assert names == ["conv_1", "depthwise", "head"]
    included = cb.sparsify(model, 0.5, include=["conv*", "head"])
    assert [k.name for k in masked_kernels(included)] == ["conv_1", "head"]
    excluded = cb.sparsify(model, 0.5, exclude="conv*")
    assert [k.name for k in masked_kernels(excluded)] == ["depthwise", "head"]


@pytest.mark.parametrize("argument", ["include", "exclude"])
def test_a_pattern_that_matches_nothing_is_refused(argument):
    with pytest.raises(InputError, match="matches no.*cnov"):
        cb.sparsify(small_model(), 0.5, **{argument: ["cnov*"]})


def test_leaving_no_layer_is_refused():
    with pytest.raises(InputError, match="leave no layer"):
        cb.sparsify(small_model(), 0.5, include="head", exclude="head")


def test_a_sparse_model_is_refused():
    with pytest.raises(InputError, match="sparse already.*cb.strip"):
        cb.sparsify(cb.sparsify(small_model(), 0.5), 0.5)


def test_a_model_without_kernels_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.ReLU()])
    with pytest.raises(InputError, match="no layer with a kernel"):
        cb.sparsify(model, 0.5)


def test_a_model_that_is_not_built_is_refused():
    with pytest.raises(InputError, match="must be built"):
        cb.sparsify(keras.Sequential([keras.layers.Dense(3)]), 0.5)


class Subclassed(keras.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(units, activation="relu")
        self.head = keras.layers.Dense(3)

    def call(self, inputs):
        return self.head(self.hidden(inputs))


def test_a_class_that_cannot_make_its_model_again_is_refused():
    model = Subclassed(8)
    model(np.zeros((1, 4)))
    with pytest.raises(InputError, match="Use `cb.sparsify_layers"):
        cb.sparsify(model, 0.5)
    sparse = cb.sparsify_layers(model, 0.5)
    with pytest.raises(InputError, match="Use `cb.strip_layers"):
        cb.strip(sparse)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5])
def test_sparsity_out_of_range_is_refused(sparsity):
    with pytest.raises(InputError, match="`sparsity`"):
        cb.sparsify(small_model(), sparsity)


@pytest.mark.parametrize(
    "keywords", [{"distribution": "erkk"}, {"granularity": "wieght"}]
)
def test_unknown_names_are_refused(keywords):
    with pytest.raises(InputError, match="Unknown"):
        cb.sparsify(small_model(), 0.5, **keywords)


def test_shared_and_nested_layers_are_masked_once():
    shared = keras.layers.Dense(4, name="shared")
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4, name="inner")], name="block"
    )
    inputs = keras.Input((4,))
    outputs = shared(inner(shared(inputs)))
    sparse = cb.sparsify(keras.Model(inputs, outputs), 0.5)
    kernels = masked_kernels(sparse)
    assert sorted(kernel.name for kernel in kernels) == ["inner", "shared"]
    assert len({kernel.key for kernel in kernels}) == 2


def test_a_layer_outside_the_masked_ones_is_untouched():
    sparse = cb.sparsify(small_model(), 0.5)
    assert type(sparse.get_layer("norm")) is keras.layers.BatchNormalization
