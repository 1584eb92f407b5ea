"""Networks without some of their blocks."""

import keras
import numpy as np
import pytest

import cb
from cb import models
from cb.errors import InputError
from cb.models.lesion import drop_blocks
from cb.models.lesion import droppable


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return models.build("bundle_resnet(blocks=(2, 1, 0, 0))", (16, 16, 3), 4)


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return random.normal(size=(3, 16, 16, 3)).astype("float32")


def outputs_of(model, names, inputs):
    layers = [model.get_layer(name).output for name in names]
    return [np.asarray(x) for x in keras.Model(model.input, layers)(inputs)]


def layer_names(model):
    return {layer.name for layer in model.layers}


def test_a_dropped_residual_block_leaves_its_rectified_shortcut(model, images):
    lesioned = drop_blocks(model, [2])
    before, _ = outputs_of(model, ["block_1", "block_3_add"], images)
    assert "block_2_conv_1" not in layer_names(lesioned)
    assert lesioned.count_params() < model.count_params()
    found, _ = outputs_of(lesioned, ["block_2", "block_1"], images)
    np.testing.assert_array_equal(found, np.maximum(before, 0))


def test_a_dropped_block_of_stride_two_keeps_its_projection(model, images):
    lesioned = drop_blocks(model, [3])
    assert "block_3_shortcut" in layer_names(lesioned)
    assert "block_3_conv_1" not in layer_names(lesioned)
    assert np.isfinite(lesioned(images)).all()


@pytest.mark.parametrize("sparsity", [None, 0.5])
def test_without_a_shortcut_the_input_goes_on(sparsity):
    model = models.build("fnn(blocks=5, width=7)", (6,), 3)
    if sparsity:
        model = cb.sparsify(model, sparsity)
    lesioned = drop_blocks(model, [2, 3, 5])
    x = np.random.default_rng(0).normal(size=(9, 6)).astype("float32")
    expected = x
    for name in ("block_1", "block_4", "logits"):
        layer = model.get_layer(name)
        expected = expected @ layer.kernel.numpy() + layer.bias.numpy()
        if name != "logits":
            expected = np.maximum(expected, 0)
    np.testing.assert_allclose(lesioned(x), expected, rtol=1e-5, atol=1e-6)
    assert not layer_names(lesioned) & {"block_2", "block_3", "block_5"}


def test_a_block_of_several_layers_goes_as_a_whole(images):
    model = models.build("bundle_vgg(blocks=(2, 1, 0, 0))", (16, 16, 3), 4)
    lesioned = drop_blocks(model, [2])
    left = [n for n in layer_names(lesioned) if n.startswith("block_2")]
    assert left == []
    found, expected = (
        outputs_of(m, ["block_1", "stem_relu"], images)
        for m in (lesioned, model)
    )
    np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize(
    "spec, shape, possible",
    [
        ("fnn(blocks=4, width=6)", (6,), [1, 2, 3, 4]),
        ("fnn(blocks=4, width=5)", (6,), [2, 3, 4]),
        ("bundle_vgg(blocks=(2, 2, 1, 0))", (16, 16, 3), [1, 2, 4]),
        ("bundle_resnet(blocks=(1, 2, 0, 0))", (16, 16, 3), [1, 2, 3]),
        ("wide_resnet(depth=10, width=0.25)", (8, 8, 3), [1, 2, 3]),
        ("mlp(units=(8, 8))", (6,), []),
    ],
)
def test_what_changes_the_shape_without_a_shortcut_stays(spec, shape, possible):
    model = models.build(spec, shape, 3)
    assert droppable(model) == possible
    with pytest.raises(InputError, match="blocks that can be left out"):
        drop_blocks(model, [0])


def test_a_block_that_ends_in_its_addition_leaves_the_shortcut(images):
    model = models.build("wide_resnet(depth=16, width=0.5)", (16, 16, 3), 4)
    lesioned = drop_blocks(model, [1, 2])
    names = ["block_1_shortcut", "block_3_norm_1"]
    found, expected = (outputs_of(m, names, images) for m in (lesioned, model))
    np.testing.assert_array_equal(found[0], expected[0])
    layer = model.get_layer("block_3_norm_1")
    np.testing.assert_array_equal(found[1], layer(expected[0]))
    assert "block_1_conv_1" not in layer_names(lesioned)


def test_predictions_go_on_from_the_blocks_that_stay(model, images):
    whole = drop_blocks(model, [])
    np.testing.assert_array_equal(whole(images), model(images))
