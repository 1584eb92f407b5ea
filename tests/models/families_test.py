"""Padding, initialization, constants and sparse forms of the families."""

import keras
import numpy as np
import pytest

import cb
from cb import models
from cb.errors import InputError
from cb.layers.masked import masked_kernels
from cb.models import blocks
from cb.models import wiring_mobilenet
from cb.models.autosparse import hidden_sizes


def active(model):
    return {
        kernel.name: int(np.count_nonzero(kernel.mask))
        for kernel in masked_kernels(model)
    }


def symmetric_convolution(images, kernel, stride):
    """Convolve with k // 2 zeros on every side, by loops."""
    size, channels = kernel.shape[0], kernel.shape[-1]
    pad = size // 2
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    length = (images.shape[1] + 2 * pad - size) // stride + 1
    output = np.zeros((len(images), length, length, channels))
    for row in range(length):
        for column in range(length):
            top, left = row * stride, column * stride
            window = padded[:, top : top + size, left : left + size]
            output[:, row, column] = np.tensordot(window, kernel, 3)
    return output


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_pad_symmetrically(size, stride):
    inputs = keras.Input((8, 8, 2))
    outputs = blocks.convolution(
        inputs, 3, size, stride, name="conv", initializer="he_normal"
    )
    model = keras.Model(inputs, outputs)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 2))
    kernel = np.asarray(model.get_layer("conv").kernel)
    np.testing.assert_allclose(
        model(images), symmetric_convolution(images, kernel, stride), atol=1e-5
    )


def test_pooling_pads_as_with_minus_infinity():
    inputs = keras.Input((6, 6, 1))
    pooled = blocks.padded_max_pool(blocks.relu(inputs, "relu"), 3, 2, "pool")
    model = keras.Model(inputs, pooled)
    images = np.random.default_rng(0).normal(size=(1, 6, 6, 1))
    rectified = np.pad(
        np.maximum(images, 0)[0, :, :, 0], 1, constant_values=-np.inf
    )
    expected = [
        [rectified[r : r + 3, c : c + 3].max() for c in (0, 2, 4)]
        for r in (0, 2, 4)
    ]
    np.testing.assert_allclose(model(images)[0, :, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "initializer,fan",
    [(blocks.fan_out_normal, 9 * 64), (blocks.fan_in_normal, 9 * 32)],
)
def test_normal_initialization_is_not_truncated(initializer, fan):
    keras.utils.set_random_seed(0)
    values = np.asarray(initializer()((3, 3, 32, 64)))
    deviation = np.sqrt(2 / fan)
    assert values.std() == pytest.approx(deviation, rel=0.02)
    assert np.abs(values).max() > 3 * deviation


def test_uniform_initialization_ends_at_one_over_root_of_inputs():
    keras.utils.set_random_seed(0)
    model = models.build("f1", (28, 28, 1), 10)
    kernel = np.asarray(model.get_layer("hidden_1").kernel)
    bias = np.asarray(model.get_layer("hidden_1").bias)
    assert 0.99 / 28 < np.abs(kernel).max() <= 1 / 28
    assert 0.9 / 28 < np.abs(bias).max() <= 1 / 28


@pytest.mark.parametrize("name", ["f1", "mnist_mlp", "c1", "c3", "alexnet"])
def test_published_scales_are_drawn_between_zero_and_one(name, abstract_model):
    shape = (64, 64, 3)
    model = abstract_model(f"{name}(gamma='uniform')", shape, 3)
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in norms:
        assert layer.gamma_initializer.get_config()["maxval"] == 1.0
        assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
    with pytest.raises(InputError, match="`gamma`"):
        abstract_model(f"{name}(gamma='one')", shape, 3)


def test_bundle_networks_keep_the_constants_of_keras(abstract_model):
    model = abstract_model("bundle_vgg(depth=4)", (32, 32, 3), 10)
    norm = model.get_layer("block_1_norm_1")
    assert (norm.momentum, norm.epsilon) == (0.99, 1e-3)


def test_the_last_scale_of_an_autosparse_block_starts_at_zero():
    model = models.build("autosparse_resnet(stages=(1,1,1))", (8, 8, 3), 2)
    assert not np.asarray(model.get_layer("bn_2_1_2").gamma).any()
    assert np.asarray(model.get_layer("bn_2_1_1").gamma).all()


def test_published_stem_makes_the_image_larger(abstract_model):
    spec = "autosparse_resnet(stem='published')"
    model = abstract_model(spec, (32, 32, 3), 10)
    sizes = [
        model.get_layer(f"block_{number}").output.shape[1]
        for number in (3, 6, 9)
    ]
    assert sizes == [36, 18, 9]


@pytest.mark.parametrize(
    "layers,expected",
    [
        (1, [100]),
        (2, [100, 80]),
        (3, [100, 40, 80]),
        (4, [100, 40, 60, 80]),
        (5, [100, 70, 40, 60, 80]),
        (6, [100, 70, 40, 53, 67, 80]),
        (7, [100, 80, 60, 40, 53, 67, 80]),
        (8, [100, 80, 60, 40, 50, 60, 70, 80]),
        (9, [100, 85, 70, 55, 40, 50, 60, 70, 80]),
        (10, [100, 85, 70, 55, 40, 48, 56, 64, 72, 80]),
    ],
)
def test_hidden_sizes_as_published(layers, expected):
    assert hidden_sizes(layers, 100, 40, 80) == expected


def test_dropout_on_logits_only_as_published(abstract_model):
    for published, expected in ((False, 3), (True, 4)):
        spec = f"autosparse_mlp(dropout=0.3, dropout_on_logits={published})"
        model = abstract_model(spec, (4,), 2)
        layers = [
            layer
            for layer in model.layers
            if isinstance(layer, keras.layers.Dropout)
        ]
        assert len(layers) == expected


@pytest.mark.parametrize(
    "sparsity,expected",
    [
        (0.9, (23_520, 3_000, 100)),
        (0.95, (11_760, 1_500, 50)),
        (0.98, (4_704, 600, 20)),
        (0.99, (2_352, 300, 10)),
    ],
)
def test_active_weights_of_the_mnist_network(sparsity, expected):
    model = models.build("mnist_mlp", (28, 28, 1), 10)
    sparse = cb.sparsify(model, sparsity, "uniform", rounding="down")
    assert tuple(active(sparse).values()) == expected


def test_wide_resnet_at_ninety_percent_to_the_unit():
    model = models.build("wide_resnet", (32, 32, 3), 10)
    sparse = cb.sparsify(model, 0.9, "uniform", rounding="down")
    counts = active(sparse)
    assert len(counts) == 24
    assert sum(counts.values()) == 145_139


@pytest.mark.parametrize("graph", ["continuous", "discrete", "static"])
def test_the_wiring_graph_has_its_edges(graph):
    spec = f"wiring_graph(graph='{graph}')"
    model = models.build(spec, (32, 32, 3), 10)
    sparse = cb.sparsify(model, **models.recipe(spec).sparsity)
    counts = active(sparse)
    assert sum(counts.values()) == 32_000
    assert all("edges" in name for name in counts)


def test_edges_of_the_wiring_mobilenet():
    edges = wiring_mobilenet.edge_counts(0.775)
    assert sum(edges.values()) == 158_941
    rates = []
    for group, name in zip(
        wiring_mobilenet.GROUPS.values(), edges, strict=True
    ):
        rows = group.outputs * group.blocks
        columns = group.inputs + group.outputs * (group.blocks - 1)
        rates.append(1 - group.budget(0.775) / (rows * columns))
        assert abs(edges[name] - group.budget(0.775)) < 1
    assert rates == pytest.approx(
        [0.949375, 0.974688, 0.974688, 0.991563, 0.974688], abs=1e-6
    )


def test_the_wiring_mobilenet_meets_its_budgets():
    model = models.build("wiring_mobilenet", (16, 16, 3), 10)
    recipe = models.recipe("wiring_mobilenet")
    counts = active(cb.sparsify(model, **recipe.sparsity))
    for name, edges in wiring_mobilenet.edge_counts(0.775).items():
        found = sum(
            number
            for layer, number in counts.items()
            if layer.startswith(f"{name}_edges")
        )
        assert found == edges


@pytest.mark.parametrize(
    "spec",
    [
        "wide_resnet(depth=27)",
        "wide_resnet(width=0)",
        "resnet44(depth=43)",
        "resnet50(variant='v1')",
        "resnet50(width='wide')",
        "resnet18(config='ignorelast')",
        "vgg(depth=12)",
        "autosparse_mlp(layers=0)",
        "autosparse_resnet(stages=(1, 2))",
        "autosparse_resnet(stem='old')",
        "wiring_graph(graph='random')",
        "wiring_mobilenet(prune_rate=1.5)",
    ],
)
def test_bad_arguments_are_refused(spec):
    with pytest.raises(InputError):
        models.build(spec, (32, 32, 3), 10)


@pytest.mark.parametrize("name", ["wide_resnet", "resnet18", "vgg", "alexnet"])
def test_inputs_that_are_no_images_are_refused(name):
    with pytest.raises(InputError, match="needs images"):
        models.build(name, (784,), 10)
