"""Networks whose blocks can be read and dropped."""

import keras
import numpy as np
import pytest

from cb import models
from cb.errors import InputError
from cb.models import bundle_network


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return models.build("bundle_resnet(blocks=(2, 1, 0, 0))", (16, 16, 3), 4)


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return random.normal(size=(3, 16, 16, 3)).astype("float32")


def outputs_of(model, names, images):
    layers = [model.get_layer(name).output for name in names]
    return [np.asarray(x) for x in keras.Model(model.input, layers)(images)]


def test_blocks_of_a_vgg_are_recorded_by_their_outputs(images):
    model = models.build("bundle_vgg(blocks=(1, 1, 0, 1))", (16, 16, 3), 4)
    names = bundle_network.block_names(model)
    assert names == ["block_1", "block_2", "block_3"]
    recorded = bundle_network.recorded_activations(model)(images)
    for found, expected in zip(
        recorded, outputs_of(model, names, images), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_residual_blocks_are_recorded_before_and_after_the_addition(
    model, images
):
    recorded = bundle_network.recorded_activations(model)(images)
    assert len(recorded) == 6
    for number in (1, 2, 3):
        name = f"block_{number}"
        first, second, branch, output = outputs_of(
            model,
            [f"{name}_conv_1", f"{name}_conv_2", f"{name}_norm_2", name],
            images,
        )
        scales = [
            1.0 / np.sqrt(x.astype("float64").var() + 1e-6)
            for x in (first, second)
        ]
        np.testing.assert_allclose(
            recorded[2 * number - 2],
            branch * scales[0] * scales[1],
            rtol=1e-3,
            atol=1e-5,
        )
        np.testing.assert_array_equal(recorded[2 * number - 1], output)


def test_a_dropped_block_leaves_its_rectified_shortcut(model, images):
    lesioned = bundle_network.drop_blocks(model, [2])
    kept = ["block_1", "block_3_add"]
    before, _ = outputs_of(model, kept, images)
    names = {layer.name for layer in lesioned.layers}
    assert "block_2_conv_1" not in names
    assert lesioned.count_params() < model.count_params()
    found, _ = outputs_of(lesioned, ["block_2", "block_1"], images)
    np.testing.assert_array_equal(found, np.maximum(before, 0))


def test_a_dropped_block_of_stride_two_keeps_its_projection(model, images):
    lesioned = bundle_network.drop_blocks(model, [3])
    names = {layer.name for layer in lesioned.layers}
    assert "block_3_shortcut" in names
    assert "block_3_conv_1" not in names
    assert np.isfinite(lesioned(images)).all()


def test_lesion_is_an_argument_of_the_model():
    spec = "bundle_resnet(blocks=(2, 0, 0, 0), lesion=(1,))"
    lesioned = models.build(spec, (16, 16, 3), 4)
    names = {layer.name for layer in lesioned.layers}
    assert "block_1_conv_1" not in names
    assert "block_2_conv_1" in names


@pytest.mark.parametrize(
    "spec",
    [
        "bundle_vgg(depth=5)",
        "bundle_vgg(blocks=(1, 2, 3))",
        "bundle_vgg(blocks=(0, 0, 0, 0))",
        "bundle_vgg(blocks=(1, -1, 0, 0))",
        "bundle_resnet(blocks=(1, 0, 0, 0), lesion=(2,))",
        "bundle_resnet(blocks=(1, 0, 0, 0), lesion=(0,))",
    ],
)
def test_bad_depths_and_blocks_are_refused(spec):
    with pytest.raises(InputError):
        models.build(spec, (16, 16, 3), 4)


def test_wide_images_are_pooled_after_the_stem(abstract_model):
    small = abstract_model("bundle_vgg(depth=10)", (32, 32, 3), 10)
    large = abstract_model("bundle_vgg(depth=10)", (128, 128, 3), 10)
    sizes = [
        model.get_layer(f"block_{number}").output.shape[1]
        for model in (small, large)
        for number in (1, 2, 3, 4)
    ]
    assert sizes == [16, 8, 4, 2, 32, 16, 8, 4]
