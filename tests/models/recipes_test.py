"""Recipes: what the sources set in which epoch."""

import math

import pytest

from cb import models
from cb.errors import InputError
from cb.optimization import regimes


def settings(spec, epoch):
    """Return what the recipe of a model sets in an epoch."""
    regime = models.recipe(spec).regime
    if callable(regime):
        return regime(epoch)
    return regimes.from_dict(regime).at(epoch)


@pytest.mark.parametrize(
    "spec,epoch,rate",
    [
        ("resnet44", 130, 0.001),
        ("resnet44", 164, 1e-4),
        ("wresnet16_4", 139, 0.004),
        ("f1", 30, 1e-4),
        ("c1", 60, 0.01),
        ("c3", 180, 1e-4),
        ("alexnet", 15, 0.001),
        ("wide_resnet", 160, 0.0008),
        ("resnet50('dynamic_sparse')", 89, 0.001),
        ("lenet_300_100", 50, 0.004),
        ("wiring_graph", 120, 0.001),
        ("resnet50", 0, 0.0512),
        ("resnet50", 1, 0.1024),
        ("resnet50", 4, 0.256),
        ("resnet50", 5, 0.256),
        ("resnet50", 52, 0.128 * (1 + math.cos(math.pi * 47 / 95))),
        ("resnet50", 99, 0.128 * (1 + math.cos(math.pi * 94 / 95))),
    ],
)
def test_published_learning_rates(spec, epoch, rate):
    assert settings(spec, epoch)["learning_rate"] == pytest.approx(rate)


def test_published_details():
    assert settings("c1", 100)["momentum"] == 0.0
    assert settings("alexnet", 15)["weight_decay"] == 0.0
    assert settings("wide_resnet", 0)["nesterov"] is True
    assert models.recipe("resnet50").label_smoothing == 0.1
    assert models.recipe("mlp") is None
    assert regimes.from_dict(models.recipe("resnet44").regime).renewals() == [
        122
    ]


def test_a_configuration_of_wirings_holds_its_sparsity():
    recipe = models.recipe("resnet50(config='ignorefirst10')")
    assert recipe.sparsity["sparsity"] == pytest.approx(0.9)
    assert models.recipe("resnet50").sparsity == {}
    with pytest.raises(InputError, match="'ignorefirst10'"):
        models.recipe("resnet50(config='ignorefirst15')")
