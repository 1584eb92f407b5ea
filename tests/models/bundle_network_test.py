"""Networks of numbered blocks."""

import pytest

from cb import models
from cb.errors import InputError


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
