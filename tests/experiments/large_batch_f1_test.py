"""The arms of the large-batch experiment, without training them."""

import argparse

import pytest

from cb import models
from cb.config import layered
from cb.optimization import regimes
from cb.training import compilation
from cb.training import regime
from experiments import large_batch_f1


def config(mode, arm, epochs=50):
    given = argparse.Namespace(
        data_dir="data",
        dataset="mnist",
        runs="runs",
        epochs=epochs,
        small=128,
        large=4096,
    )
    flags = large_batch_f1.flags(given, mode, arm, seed=1)
    return regime.applied(*layered(None, flags, []))[0]


def test_the_regime_is_the_published_one():
    published = regimes.from_dict(models.recipe("f1").regime)
    assert regimes.from_yaml(large_batch_f1.regime(50)) == published


@pytest.mark.parametrize("mode", ["corrected", "published"])
def test_every_arm_has_what_those_before_it_have(mode):
    batches = [config(mode, arm).batch_size for arm in large_batch_f1.POSTER]
    assert batches == [128, 4096, 4096, 4096, 4096]
    small, large, scaled, ghosts, adapted = [
        config(mode, arm) for arm in large_batch_f1.POSTER
    ]
    assert compilation.peak_learning_rate(small) == 0.1
    assert compilation.peak_learning_rate(large) == 0.1
    for arm in (scaled, ghosts, adapted):
        rate = compilation.peak_learning_rate(arm)
        assert rate == pytest.approx(0.1 * 32**0.5)
    assert scaled.normalization == "batch"
    assert ghosts.normalization == adapted.normalization
    assert ghosts.normalization.startswith("ghost(size=128")
    assert compilation.epochs(ghosts) == 50
    assert compilation.epochs(adapted) == 32 * 50
    assert (adapted.momentum_reset == "epoch") == (mode == "published")
