"""Learning-rate scaling, warm-up and regimes against the published tables."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cb.errors import InputError
from cb.optimization import regime_optimizer
from cb.optimization import regimes
from cb.optimization.large_batch import Warmup
from cb.optimization.large_batch import adaptation_factor
from cb.optimization.large_batch import learning_rate_factor


@pytest.mark.parametrize(
    ("scaling", "batch", "reference", "expected"),
    [
        ("none", 2048, None, 1.0),
        ("sqrt", 128, 256, 0.70710678),
        ("sqrt", 2048, 256, 2.82842712),
        ("sqrt", 2048, 128, 4.0),
        ("sqrt", 4096, 128, 5.65685425),
        ("sqrt", 1024, 256, 2.0),
        ("linear", 2048, 256, 8.0),
    ],
)
def test_learning_rate_factor(scaling, batch, reference, expected):
    factor = learning_rate_factor(scaling, batch, reference)
    assert factor == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("batch", "reference", "expected"),
    [(2048, 256, 8), (1024, 256, 4), (4096, 128, 32), (300, 256, 2)],
)
def test_epochs_are_stretched_by_the_ratio_rounded_up(
    batch, reference, expected
):
    assert adaptation_factor(batch, reference) == expected


def test_scaled_learning_rates_of_resnet44():
    factor = learning_rate_factor("sqrt", 2048, 256)
    scaled = regimes.published("resnet44").scaled(factor)
    assert [value for _, value in scaled.values("learning_rate")] == (
        pytest.approx([0.282843, 0.0282843, 0.00282843, 0.000282843], rel=1e-5)
    )


def test_stretched_boundaries_of_resnet44():
    factor = adaptation_factor(2048, 256)
    stretched = regimes.published("resnet44").stretched(factor)
    epochs = [epoch for epoch, _ in stretched.values("learning_rate")]
    assert epochs == [0, 648, 976, 1312]
    assert 100 * factor == 800


def test_settings_hold_until_they_are_changed():
    settings = regimes.published("resnet44").at(130)
    assert settings["learning_rate"] == 0.001
    assert settings["weight_decay"] == 1e-4
    assert settings["momentum"] == 0.9


@pytest.mark.parametrize(
    ("name", "epoch", "expected"),
    [
        ("f1", 9, (0.1, 0.9, 1e-4)),
        ("f1", 10, (0.01, 0.9, 1e-4)),
        ("f1", 31, (1e-4, 0.9, 1e-4)),
        ("wresnet16_4", 120, (0.004, 0.9, 1e-4)),
        ("imagenet_resnet", 89, (0.001, 0.9, 1e-4)),
        ("c1", 0, (0.001, 0.0, 5e-4)),
        ("c3", 60, (0.01, 0.0, 5e-4)),
        ("alexnet", 14, (0.005, 0.9, 5e-4)),
        ("alexnet", 20, (5e-4, 0.9, 0.0)),
    ],
)
def test_published_settings(name, epoch, expected):
    settings = regimes.published(name).at(epoch)
    keys = ("learning_rate", "momentum", "weight_decay")
    assert tuple(settings[key] for key in keys) == expected


def test_regime_from_yaml():
    text = """
    0: {optimizer: sgd, learning_rate: 0.1, weight_decay: 0.0001}
    10: {learning_rate: 0.01}
    20: {optimizer: adam, learning_rate: 0.001}
    """
    regime = regimes.from_yaml(text)
    assert regime.at(25) == {
        "optimizer": "adam",
        "learning_rate": 0.001,
        "weight_decay": 0.0001,
    }
    assert regime.renewals() == [20]
    assert regime.values("optimizer") == [(0, "sgd"), (20, "adam")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not YAML"),
        ("5", "must map epochs to settings"),
        ("{1: {optimizer: sgd, learning_rate: 1.0}}", r"ascend from 0.*\[1\]"),
        ("{0: {optimizer: sgd}}", "must give `learning_rate` at epoch 0"),
        ("{0: {learning_rate: 0.1}}", "must give `optimizer` at epoch 0"),
        (
            "{0: {optimizer: sgd, learnng_rate: 0.1}}",
            "Did you mean 'learning_rate'",
        ),
        (
            "{0: {optimizer: sgd, learning_rate: fast}}",
            "learning_rate='fast' at epoch 0",
        ),
    ],
)
def test_wrong_regime_is_one_clear_line(text, message):
    with pytest.raises(InputError, match=message):
        regimes.from_yaml(text)


def test_all_published_regimes_are_valid():
    for name in regimes.names():
        assert regimes.published(name).at(0)["learning_rate"] > 0


class NumpySGD:
    """The rule and the engine of the published code, epoch by epoch."""

    def __init__(self, regime, steps_per_epoch, reset):
        self.regime, self.steps, self.reset = regime, steps_per_epoch, reset
        self.velocity = 0.0

    def __call__(self, weight, gradient, step):
        epoch, batch = divmod(step, self.steps)
        settings = {}
        for start in sorted(self.regime):
            if start <= epoch:
                settings.update(self.regime[start])
                renewed = start == epoch and "optimizer" in self.regime[start]
        if batch == 0 and (self.reset == "epoch" or renewed):
            self.velocity = 0.0
        change = gradient + settings["weight_decay"] * weight
        self.velocity = settings["momentum"] * self.velocity + change
        return weight - settings["learning_rate"] * self.velocity


@pytest.mark.parametrize("reset", ["renewal", "epoch"])
def test_optimizer_follows_a_regime(reset):
    regime = {
        0: {
            "optimizer": "sgd",
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 0.1,
        },
        2: {"learning_rate": 0.01, "weight_decay": 0.0},
        3: {"optimizer": "sgd", "momentum": 0.5},
    }
    optimizer = regime_optimizer.build(
        regimes.from_dict(regime), 3, momentum_reset=reset
    )
    reference = NumpySGD(regime, 3, reset)
    weight = keras.Variable([1.0, -2.0])
    expected = np.array([1.0, -2.0])
    for step in range(15):
        gradient = np.sin(step + np.arange(2.0))
        expected = reference(expected, gradient, step)
        optimizer.apply([tf.constant(gradient, tf.float32)], [weight])
        np.testing.assert_allclose(weight, expected, rtol=1e-5)


def test_regime_of_another_optimizer_is_refused():
    regime = regimes.from_yaml("{0: {optimizer: adam, learning_rate: 0.1}}")
    with pytest.raises(InputError, match="Received: .'adam'."):
        regime_optimizer.build(regime, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum_reset": "never"}, "momentum_reset='never'"),
        ({"gradient_accumulation_steps": 3}, "must divide the 10 batches"),
    ],
)
def test_wrong_reset_is_one_clear_line(options, message):
    with pytest.raises(InputError, match=message):
        regime_optimizer.build(regimes.published("f1"), 10, **options)


def test_warmup_rises_to_the_schedule():
    piecewise = keras.optimizers.schedules.PiecewiseConstantDecay
    warmup = Warmup(piecewise([5], [0.8, 0.08]), 4, initial=0.1)
    values = [float(warmup(step)) for step in (0, 2, 3, 4, 5, 6)]
    expected = [0.1, 0.45, 0.625, 0.8, 0.8, 0.08]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    copy = Warmup.from_config(warmup.get_config())
    assert float(copy(2)) == values[1]
    assert float(Warmup(0.5, 0)(0)) == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cubic", 8, 4), "Unknown learning-rate scaling"),
        (("sqrt", 2048, None), "`reference_batch_size` must be given with"),
        (("linear", 2048, 0), "reference_batch_size=0"),
    ],
)
def test_wrong_scaling_is_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message):
        learning_rate_factor(*arguments)
