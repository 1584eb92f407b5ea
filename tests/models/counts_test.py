"""Published numbers of parameters, to the unit."""

import fnmatch
import math

import pytest

from cb import models
from cb.conversion.targets import Kernel
from cb.conversion.targets import target_counts

CIFAR, MNIST, IMAGE = (32, 32, 3), (28, 28, 1), (224, 224, 3)

TOTALS = [
    ("lenet_300_100", MNIST, 10, 266_610),
    ("mnist_mlp", MNIST, 10, 267_020),
    ("wide_resnet", CIFAR, 10, 1_467_610),
    ("wide_resnet(width=10)", CIFAR, 10, 36_479_194),
    ("wide_resnet(width=0.75)", CIFAR, 10, 209_130),
    ("wide_resnet(width=0.98)", CIFAR, 10, 356_376),
    ("wide_resnet(width=1.15)", CIFAR, 10, 491_845),
    ("wide_resnet(width=1.33)", CIFAR, 10, 652_093),
    ("wide_resnet(width=1.47)", CIFAR, 10, 795_477),
    ("resnet50(variant='dynamic_sparse')", IMAGE, 1000, 25_557_032),
    ("resnet50('dynamic_sparse', width=0.54)", IMAGE, 1000, 8_167_095),
    ("resnet50('dynamic_sparse', width=0.46)", IMAGE, 1000, 5_771_217),
    ("resnet50", IMAGE, 1000, 25_502_912 + 53_120),
    ("resnet44", CIFAR, 10, 661_338),
    ("resnet44", CIFAR, 100, 667_188),
    ("wresnet16_4", CIFAR, 10, 2_777_674),
    ("wresnet16_4", CIFAR, 100, 2_800_804),
    ("f1", MNIST, 10, 1_462_794),
    ("c1", CIFAR, 10, 1_388_490),
    ("c3", CIFAR, 100, 1_405_860),
    ("alexnet", IMAGE, 1000, 61_110_184),
    ("vgg", CIFAR, 10, 14_728_266),
    ("bundle_vgg(depth=4)", CIFAR, 10, 84_362),
    ("bundle_vgg(depth=10)", CIFAR, 10, 4_739_082),
    ("bundle_vgg(depth=20)", CIFAR, 10, 12_192_906),
    ("bundle_vgg(depth=30)", CIFAR, 10, 19_646_730),
    ("bundle_vgg(depth=50)", CIFAR, 10, 28_802_058),
    ("bundle_vgg(depth=76)", CIFAR, 10, 44_157_450),
    ("bundle_vgg(depth=100)", CIFAR, 10, 53_018_634),
    ("bundle_vgg(depth=120)", CIFAR, 10, 64_830_474),
    ("bundle_resnet(depth=4)", CIFAR, 10, 84_362),
    ("bundle_resnet(depth=10)", CIFAR, 10, 4_913_802),
    ("bundle_resnet(depth=20)", CIFAR, 10, 12_367_626),
    ("bundle_resnet(depth=30)", CIFAR, 10, 19_821_450),
    ("bundle_resnet(depth=50)", CIFAR, 10, 28_976_778),
    ("bundle_resnet(depth=76)", CIFAR, 10, 44_332_170),
    ("bundle_resnet(depth=100)", CIFAR, 10, 53_193_354),
    ("bundle_resnet(depth=120)", CIFAR, 10, 65_005_194),
]


@pytest.mark.parametrize("spec,shape,classes,expected", TOTALS)
def test_trainable_parameters(
    spec, shape, classes, expected, abstract_model, count
):
    model = abstract_model(spec, shape, classes)
    assert count(model.trainable_variables) == expected
    assert model.output_shape == (None, classes)


@pytest.mark.parametrize("depth,basic", [(18, 11_689_512), (34, 21_797_672)])
def test_basic_resnets_are_those_of_the_literature(
    depth, basic, abstract_model, count
):
    model = abstract_model(f"resnet{depth}('big_batch')", IMAGE, 1000)
    assert count(model.trainable_variables) == basic


@pytest.mark.parametrize(
    "depth,bottleneck", [(101, 44_549_160), (152, 60_192_808)]
)
def test_deep_resnets_are_those_of_the_literature(
    depth, bottleneck, abstract_model, count
):
    model = abstract_model(f"resnet{depth}('big_batch')", IMAGE, 1000)
    assert count(model.trainable_variables) == bottleneck


def sparse_kernels(model):
    """Return shapes of the kernels that are made sparse, and other weights."""
    kept = [
        layer.name
        for pattern in model.always_dense
        for layer in model.layers
        if fnmatch.fnmatch(layer.name, pattern)
    ]
    kernels = {
        id(layer.kernel): tuple(layer.kernel.shape)
        for layer in model.layers
        if hasattr(layer, "kernel") and layer.name not in kept
    }
    fixed = sum(
        math.prod(variable.shape)
        for variable in model.trainable_variables
        if id(variable) not in kernels
    )
    return list(kernels.values()), fixed


def learnable(model, sparsity):
    """Count by the published rule: floor((1 - s) * n + 0.1) of each."""
    kernels, fixed = sparse_kernels(model)
    sizes = [math.prod(shape) for shape in kernels]
    return fixed + sum(math.floor((1 - sparsity) * n + 0.1) for n in sizes)


def test_wide_resnet_keeps_dense_what_is_published(abstract_model):
    kernels, fixed = sparse_kernels(abstract_model("wide_resnet", CIFAR, 10))
    assert len(kernels) == 24
    assert sum(map(math.prod, kernels)) == 1_451_520
    assert fixed == 16_090


@pytest.mark.parametrize(
    "sparsity,expected",
    [
        (0.5, 741_850),
        (0.6, 596_687),
        (0.7, 451_532),
        (0.8, 306_384),
        (0.9, 161_229),
    ],
)
def test_wide_resnet_learnable_weights(sparsity, expected, abstract_model):
    model = abstract_model("wide_resnet", CIFAR, 10)
    assert learnable(model, sparsity) == expected


@pytest.mark.parametrize(
    "sparsity,expected", [(0.8, 7_377_320), (0.9, 5_104_861)]
)
def test_dynamic_sparse_resnet_learnable_weights(
    sparsity, expected, abstract_model
):
    model = abstract_model("resnet50('dynamic_sparse')", IMAGE, 1000)
    kernels, fixed = sparse_kernels(model)
    assert len(kernels) == 49
    assert sum(map(math.prod, kernels)) == 22_724_608
    assert fixed == 2_832_424
    assert learnable(model, sparsity) == expected


def test_dynamic_sparse_resnet_with_sparse_downsampling(abstract_model):
    spec = "resnet50('dynamic_sparse', sparse_downsample=True)"
    kernels, fixed = sparse_kernels(abstract_model(spec, IMAGE, 1000))
    assert len(kernels) == 53
    assert sum(map(math.prod, kernels)) == 25_493_504
    assert fixed == 63_528


def test_resnet50_v1_5_kernels_and_output_shapes(abstract_model):
    model = abstract_model("resnet50", IMAGE, 1000)
    kernels, fixed = sparse_kernels(model)
    assert len(kernels) == 53
    assert sum(map(math.prod, kernels)) == 25_493_504
    assert fixed == 9_408 + 53_120
    sizes = [
        model.get_layer(name).output.shape[1]
        for name in ("stem", "stem_pool", "block_3", "block_7", "block_13")
    ]
    assert sizes == [112, 56, 56, 28, 14]
    assert model.get_layer("block_16").output.shape[1:] == (7, 7, 2048)
    all_sparse = abstract_model("resnet50(config='allsparse')", IMAGE, 1000)
    kernels, fixed = sparse_kernels(all_sparse)
    assert len(kernels) == 54
    assert sum(map(math.prod, kernels)) == 25_502_912
    assert fixed == 53_120


def test_weights_kept_by_the_wiring_rule(abstract_model):
    model = abstract_model("resnet50(config='ignorefirst10')", IMAGE, 1000)
    shapes, _ = sparse_kernels(model)
    recipe = models.recipe("resnet50(config='ignorefirst10')").sparsity
    counts = target_counts(
        [
            Kernel(f"{number}", frozenset(), "", shape, (1,) * len(shape))
            for number, shape in enumerate(shapes)
        ],
        **recipe,
    )
    assert sum(counts.values()) + 9_408 == 2_558_785


@pytest.mark.parametrize(
    "stages,kernels,weights",
    [((3, 3, 3), 22, 270_896), ((2, 2, 2), 16, 174_128)],
)
def test_autosparse_resnet_kernels(stages, kernels, weights, abstract_model):
    model = abstract_model(f"autosparse_resnet(stages={stages})", CIFAR, 10)
    found, _ = sparse_kernels(model)
    assert len(found) == kernels
    assert sum(map(math.prod, found)) == weights


def test_wiring_graph_parameters(abstract_model, count):
    for graph, edges in (
        ("continuous", 640_000),
        ("discrete", 640_000),
        ("static", 264_960),
    ):
        model = abstract_model(f"wiring_graph(graph='{graph}')", CIFAR, 10)
        fixed = count(model.trainable_variables) - edges
        assert fixed + 32_000 == 41_458 + 1_600


def test_wiring_mobilenet_kernels_carry_forward_edges(abstract_model):
    model = abstract_model("wiring_mobilenet", CIFAR, 10)
    kernels, _ = sparse_kernels(model)
    channels = [shape[-2:] for shape in kernels]
    assert channels == [
        (32, 64),
        (64, 256),
        (128, 128),
        (128, 512),
        (256, 256),
        (256, 3072),
        *((512, 512 * later) for later in (5, 4, 3, 2, 1)),
        (512, 2048),
        (1024, 1024),
    ]
