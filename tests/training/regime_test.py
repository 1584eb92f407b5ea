"""Regimes as flags choose them: what is explicit wins."""

import json

import numpy as np
import pytest

from cb import models
from cb.callbacks.regime import FollowRegime
from cb.callbacks.slots import slots
from cb.config import layered
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import masked_kernels
from cb.optimization import regimes
from cb.optimization.published_sgd import PublishedSGD
from cb.sparsity.amount import parse_sparsity
from cb.training import assembly
from cb.training import compilation
from cb.training import regime
from cb.training.data import build_data

CHANGES = (
    "{0: {optimizer: sgd, learning_rate: 0.1, momentum: 0.9},"
    " 1: {learning_rate: 0.05},"
    " 2: {optimizer: adam, learning_rate: 0.01}}"
)


def applied(**values):
    """Return what becomes of explicit flags."""
    return regime.applied(*layered(None, values, []))


def rates(config):
    regime = regimes.from_yaml(config.regime)
    return [value for _, value in regime.values("learning_rate")]


def compiled(**values):
    """Return data and compiled model of flags, on one replica."""
    config, _ = applied(
        model="mlp(units=(16, 16))", **{"batch_size": 200, **values}
    )
    config = assembly.completed(config)
    data = build_data(config, 1)
    model = assembly.build_model(config, data.source)
    compilation.compile_model(
        model, config, data.training_length(), data.source.num_classes
    )
    return data, model


def test_none_changes_nothing():
    config, sources = layered(None, {"epochs": 3}, [])
    assert regime.applied(config, sources) == (config, sources)


def test_the_regime_of_the_model_is_written_out():
    config, sources = applied(model="f1", regime="model")
    assert rates(config) == [0.1, 0.01, 0.001, 1e-4]
    assert regimes.from_yaml(config.regime).at(0)["momentum"] == 0.9
    assert config.learning_rate_schedule == "constant"
    assert sources["learning_rate_schedule"] == "regime"
    assert sources["regime"] == "flag"


def test_what_else_the_source_of_the_model_set_comes_along():
    config, sources = applied(
        model="resnet50(config='ignorefirst10')", regime="model", batch_size=32
    )
    assert (config.epochs, config.label_smoothing) == (100, 0.1)
    assert (config.sparsity, config.distribution) == (0.9, "uniform")
    assert config.rounding == "up"
    assert config.batch_size == 32
    assert (sources["epochs"], sources["batch_size"]) == ("regime", "flag")
    assert applied(model="f1", regime="model")[0].global_clipnorm == 5.0


def test_sparsities_of_a_recipe_name_layers():
    config, _ = applied(model="wiring_mobilenet", regime="model")
    edges = models.recipe("wiring_mobilenet").sparsity["sparsity"]
    assert parse_sparsity(config.sparsity) == edges


def test_a_function_of_the_epoch_is_a_regime_too():
    config, _ = applied(model="resnet50", regime="model")
    found = rates(config)
    assert found[:5] == pytest.approx([0.0512, 0.1024, 0.1536, 0.2048, 0.256])
    assert len(found) == 99  # The fifth and the sixth epoch have one rate.
    assert not regimes.from_yaml(config.regime).renewals()


def test_a_regime_is_a_file(tmp_path):
    file = tmp_path / "regime.yaml"
    file.write_text(CHANGES)
    config, _ = applied(regime=str(file))
    assert regimes.from_yaml(config.regime) == regimes.from_yaml(CHANGES)


@pytest.mark.parametrize(
    "flags, expected",
    [
        ({"learning_rate": 0.2}, [0.2, 0.1, 0.02]),
        ({"learning_rate_schedule": "linear"}, [0.1]),
        ({"optimizer": "lion"}, [0.1, 0.05, 0.01]),
    ],
)
def test_explicit_flags_win(flags, expected):
    config, _ = applied(regime=CHANGES, **flags)
    assert rates(config) == pytest.approx(expected)
    for field, value in flags.items():
        assert getattr(config, field) == value
    first = regimes.from_yaml(config.regime).at(0)
    assert ("optimizer" in first) == ("optimizer" not in flags)


@pytest.mark.parametrize(
    "flags", [{}, {"learning_rate": 0.3}, {"optimizer": "adam(beta_1=0.5)"}]
)
def test_the_configuration_of_a_run_has_it_again(flags, tmp_path):
    config, sources = applied(model="f1", regime="model", **flags)
    file = tmp_path / "config.json"
    written = {"config": config.as_dict(), "sources": sources}
    file.write_text(json.dumps(written))
    again, _ = regime.applied(*layered(str(file), {}, []))
    assert again == config
    # A flag beside it wins, as beside any file.
    again, _ = regime.applied(*layered(str(file), {"learning_rate": 0.5}, []))
    assert rates(again)[:2] == pytest.approx([0.5, 0.05])


@pytest.mark.parametrize(
    "values, message",
    [
        ({"regime": "model", "model": "mlp"}, "no regime of its own"),
        ({"regime": "nowhere.yaml"}, "must be none, model, a YAML file"),
        ({"regime": "{0: {}}"}, "positive `learning_rate` at epoch 0"),
    ],
)
def test_what_is_no_regime_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        applied(**values)


def rate(model, step):
    model.optimizer.iterations.assign(step)
    return float(read(model.optimizer.learning_rate))


def test_a_large_batch_scales_and_stretches_a_regime():
    # 1294 // 200 updates an epoch, of which there are four times as many.
    data, model = compiled(
        regime="{0: {optimizer: sgd, learning_rate: 0.1, momentum: 0.9},"
        " 2: {optimizer: sgd, learning_rate: 0.01}}",
        epochs=4,
        reference_batch_size=50,
        regime_adaptation=True,
        learning_rate_scaling="sqrt",
        warmup_epochs=0.5,
        global_clipnorm=5.0,
    )
    assert data.epochs == 16
    assert isinstance(model.optimizer, PublishedSGD)
    assert model.optimizer.global_clipnorm == 5.0
    assert model.optimizer.momentum_reset == (8 * 6,)
    for step, expected in ((0, 0.1), (6, 0.15), (12, 0.2), (47, 0.2)):
        assert rate(model, step) == pytest.approx(expected)
    assert rate(model, 48) == pytest.approx(0.02)


def test_velocities_are_reset_at_every_epoch_of_the_training():
    _, model = compiled(
        regime="{0: {optimizer: sgd, learning_rate: 0.1, momentum: 0.9}}",
        momentum_reset="epoch",
        reference_batch_size=50,
        regime_adaptation=True,
    )
    assert model.optimizer.momentum_reset == 6


def test_a_reset_without_an_optimizer_of_a_regime_is_refused():
    with pytest.raises(InputError, match="`momentum_reset` needs a regime"):
        compiled(momentum_reset="epoch")


@pytest.mark.parametrize("accumulation", [1, 2])
def test_optimizers_take_over_during_a_training(accumulation):
    data, model = compiled(
        regime=CHANGES,
        epochs=4,
        batch_size=200 // accumulation,
        gradient_accumulation=accumulation,
    )
    kernels = [kernel.weight for kernel in masked_kernels(model)]
    # Velocity; momentum and velocity of Adam; accumulators of both.
    expected = 3 + 2 * (accumulation > 1)
    assert {len(found) for found in slots(model.optimizer, kernels)} == {
        expected
    }
    steps = data.batches.steps_per_epoch
    model.fit(
        data.batches.dataset(0, 4 * steps),
        epochs=4,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=[FollowRegime()],
    )
    sgd, adam = model.optimizer.optimizers
    assert int(read(model.optimizer.iterations)) == 4 * 6
    assert int(read(sgd.iterations)) == int(read(adam.iterations)) == 2 * 6
    assert float(read(model.optimizer.learning_rate)) == pytest.approx(0.01)
    assert np.any(read(adam._momentums[0]) != 0)


def test_a_keyword_that_is_set_is_explicit():
    config, sources = layered(
        None, {"regime": CHANGES}, ["optimizer.momentum=0.5"]
    )
    config, _ = regime.applied(config, sources)
    assert "optimizer" not in regimes.from_yaml(config.regime).at(0)
    assert "momentum=0.5" in config.optimizer
