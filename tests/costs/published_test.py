"""Published costs, to the unit."""

import keras
import pytest

from cb import models
from cb.costs import Counter
from cb.costs import costs

IMAGE, CIFAR = (224, 224, 3), (32, 32, 3)

# Percentage kept: parameters and operations by the profiler of the source,
# with a dense stem and with a sparse one.
PROFILED = {
    10: (2_558_732, 515_231_310, 2_550_264, 409_018_753),
    20: (5_108_080, 912_348_324, 5_100_553, 817_937_162),
    30: (7_657_435, 1_309_465_383, 7_650_849, 1_226_855_616),
    40: (10_206_783, 1_706_582_397, 10_201_138, 1_635_774_025),
    50: (12_756_160, 2_103_699_456, 12_751_456, 2_044_692_480),
    60: (15_305_485, 2_500_816_463, 15_301_721, 2_453_610_882),
    70: (17_854_833, 2_897_933_477, 17_852_010, 2_862_529_291),
    80: (20_404_187, 3_295_050_535, 20_402_305, 3_271_447_744),
    90: (22_953_535, 3_692_167_549, 22_952_594, 3_680_366_153),
}


@pytest.fixture(scope="module")
def resnet50(abstract_model):
    return Counter(abstract_model("resnet50", IMAGE, 1000))


@pytest.mark.parametrize("kept", sorted(PROFILED))
def test_profile_of_every_configuration(kept, resnet50):
    recipe = models.recipe(f"resnet50(config='allsparse{kept}')")
    density = 1.0 - recipe.sparsity["sparsity"]
    found = []
    for densities in ({"stem": 1.0, "*": density}, {"*": density}):
        counted = resnet50.costs("dnw", densities)
        found += [counted.weights.nonzero, counted.flops]
    assert tuple(found) == PROFILED[kept]


def test_dense_resnet50(resnet50):
    found = resnet50.costs()
    assert found.macs == 4_089_184_256
    assert resnet50.costs("dnw").flops == 4_089_184_256 + 100_352
    assert found.weights.kernels == 25_502_912
    assert found.weights.normalization == 53_120


@pytest.mark.parametrize(
    "shape,classes,expected",
    [
        ((28, 28, 1), 10, 2_794_000),
        ((7,), 2, 2_009_000),
        ((28,), 2, 2_030_000),
    ],
)
def test_autosparse_perceptrons(shape, classes, expected, abstract_model):
    model = abstract_model("autosparse_mlp", shape, classes)
    assert costs(model, "autosparse").flops == expected
    sparse = costs(model, "autosparse", densities={"*": 0.1})
    assert sparse.flops == expected // 10


@pytest.mark.parametrize(
    "stages,as_coded,real",
    [
        ((3, 3, 3), 40_551_040, 51_654_016),
        ((2, 2, 2), 26_395_264, 33_738_112),
    ],
)
def test_autosparse_residual_networks(stages, as_coded, real, abstract_model):
    spec = f"autosparse_resnet(stages={stages}, stem='%s')"
    corrected = abstract_model(spec % "corrected", CIFAR, 10)
    assert costs(corrected, "autosparse").flops == as_coded
    published = abstract_model(spec % "published", CIFAR, 10)
    assert costs(published).macs == real


def test_a_model_of_keras_applications(abstract):
    model = abstract(lambda: keras.applications.MobileNetV2(weights=None))
    found = costs(model)
    assert found.macs == 300_774_272
    assert not found.unknown
