"""What every model of the zoo promises, checked by name."""

import fnmatch

import keras
import numpy as np
import pytest

import cb
from cb import models
from cb.errors import InputError
from cb.layers.masked import masked_kernels
from cb.optimization import regimes
from cb.registry import parse_spec

NAMES = set(models.names())
# Spec and input shape that keep the test of a family small.
SMALL = {
    "alexnet": ("alexnet", (63, 63, 3)),
    "autosparse_mlp": ("autosparse_mlp(layers=4, first=8)", (6, 6, 1)),
    "autosparse_resnet": ("autosparse_resnet(stages=(1, 1, 1))", (8, 8, 3)),
    "bundle_resnet": ("bundle_resnet(blocks=(1, 1, 0, 0))", (16, 16, 3)),
    "bundle_vgg": ("bundle_vgg(blocks=(1, 1, 0, 0))", (16, 16, 3)),
    "c1": ("c1", (12, 12, 3)),
    "c3": ("c3", (12, 12, 3)),
    "f1": ("f1", (8, 8, 1)),
    "fnn": ("fnn(blocks=2, width=4)", (8, 8, 1)),
    "lenet_300_100": ("lenet_300_100", (8, 8, 1)),
    "mlp": ("mlp(units=(8,))", (6, 6, 1)),
    "mnist_mlp": ("mnist_mlp", (8, 8, 1)),
    "resnet101": ("resnet101", (32, 32, 3)),
    "resnet152": ("resnet152", (32, 32, 3)),
    "resnet18": ("resnet18", (32, 32, 3)),
    "resnet34": ("resnet34", (32, 32, 3)),
    "resnet44": ("resnet44(depth=8)", (16, 16, 3)),
    "resnet50": ("resnet50('dynamic_sparse', width=0.1)", (32, 32, 3)),
    "small_cnn": ("small_cnn(filters=(4, 8), units=8)", (8, 8, 3)),
    "vgg": ("vgg(depth=11)", (32, 32, 3)),
    "wide_resnet": ("wide_resnet(depth=10, width=1)", (16, 16, 3)),
    "wiring_graph": ("wiring_graph(graph='static')", (17, 17, 3)),
    "wiring_mobilenet": ("wiring_mobilenet", (16, 16, 3)),
    "wresnet16_4": ("wresnet16_4", (16, 16, 3)),
}
# The same builder as a smaller one, and too slow for every run.
DEEP = {"resnet34", "resnet101", "resnet152"}


def test_every_model_is_tested():
    assert set(SMALL) >= NAMES


def build(name):
    keras.utils.set_random_seed(0)
    spec, shape = SMALL[name]
    return models.build(spec, shape, 3), shape


def every_model(function):
    return pytest.mark.parametrize("name", sorted(NAMES))(function)


@pytest.mark.parametrize("name", sorted(set(SMALL) & NAMES - DEEP))
def test_trains_sparse_strips_and_saves(name, tmp_path):
    model, shape = build(name)
    assert model.output_shape == (None, 3)
    model.save(tmp_path / "dense.keras")
    sparse = cb.sparsify(model, 0.5, seed=1)
    kernels = masked_kernels(sparse)
    for kernel in kernels:
        kernel.weight.assign(kernel.weight * kernel.mask)
    sparse.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    random = np.random.default_rng(0)
    images = random.normal(size=(4, *shape)).astype("float32")
    # Eagerly: one step does not repay the tracing of a graph.
    sparse.run_eagerly = True
    sparse.fit(images, np.array([0, 1, 2, 0]), batch_size=4, verbose=0)
    for kernel in kernels:
        inactive = np.asarray(kernel.mask) == 0
        assert not np.asarray(kernel.weight)[inactive].any()
    outputs = np.asarray(sparse(images))
    # Untrained networks may have tiny outputs.
    scale = np.abs(outputs).max()
    plain = np.asarray(cb.strip(sparse)(images))
    assert np.abs(plain - outputs).max() <= 1e-6 * scale
    sparse.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), outputs)


@every_model
def test_logits_are_float32_in_mixed_precision(name, abstract_model):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = abstract_model(*SMALL[name], 3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.output_shape == (None, 3)
    assert model.output.dtype == "float32"
    assert model.layers[1].compute_dtype == "bfloat16"


@every_model
def test_the_layers_kept_dense_exist(name, abstract_model):
    model = abstract_model(*SMALL[name], 3)
    names = [layer.name for layer in model.layers]
    for pattern in getattr(model, "always_dense", ()):
        missing = pattern == "*_shortcut" and name == "wide_resnet"
        assert fnmatch.filter(names, pattern) or missing


@every_model
def test_a_recipe_gives_every_epoch_a_learning_rate(name):
    recipe = models.recipe(SMALL[name][0])
    if recipe is not None:
        regime = (
            regimes.from_function(recipe.regime, 100)
            if callable(recipe.regime)
            else regimes.from_dict(recipe.regime)
        )
        for epoch in (0, 1, 37, 99):
            settings = regime.at(epoch)
            assert parse_spec(settings["optimizer"]).name == "sgd"
            assert 0 < settings["learning_rate"] < 1


def test_unknown_models_and_keywords_are_refused():
    with pytest.raises(InputError, match="Unknown model"):
        models.build("mpl", (4,), 3)
    with pytest.raises(InputError, match="'unit'.*'units'"):
        models.build("mlp(unit=3)", (4,), 3)
