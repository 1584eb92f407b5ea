"""Regimes against the published tables and the published engine."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cb import models
from cb.errors import InputError
from cb.optimization import regime_optimizer
from cb.optimization import regimes
from cb.optimization.large_batch import adaptation_factor
from cb.optimization.large_batch import learning_rate_factor


def published(name):
    return regimes.from_dict(models.recipe(name).regime)


def test_scaled_learning_rates_of_resnet44():
    factor = learning_rate_factor("sqrt", 2048, 256)
    scaled = published("resnet44").scaled(factor)
    assert [value for _, value in scaled.values("learning_rate")] == (
        pytest.approx([0.282843, 0.0282843, 0.00282843, 0.000282843], rel=1e-5)
    )


def test_stretched_boundaries_of_resnet44():
    factor = adaptation_factor(2048, 256)
    stretched = published("resnet44").stretched(factor)
    epochs = [epoch for epoch, _ in stretched.values("learning_rate")]
    assert epochs == [0, 648, 976, 1312]
    assert 100 * factor == 800


def test_settings_hold_until_they_are_changed():
    settings = published("resnet44").at(130)
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
        ("resnet50('big_batch')", 89, (0.001, 0.9, 1e-4)),
        ("c1", 0, (0.001, 0.0, 5e-4)),
        ("c3", 60, (0.01, 0.0, 5e-4)),
        ("alexnet", 14, (0.005, 0.9, 5e-4)),
        ("alexnet", 20, (5e-4, 0.9, 0.0)),
    ],
)
def test_published_settings(name, epoch, expected):
    settings = published(name).at(epoch)
    keys = ("learning_rate", "momentum", "weight_decay")
    assert tuple(settings[key] for key in keys) == expected


def test_regime_from_yaml():
    text = """
    0: {optimizer: sgd, learning_rate: 0.1, weight_decay: 1e-4}
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
        ("[", "not valid YAML: line 1"),
        ("5", "must map epochs to settings"),
        ("{1: {optimizer: sgd, learning_rate: 1.0}}", r"ascend from 0.*\[1\]"),
        ("{0: {optimizer: sgd}}", "a positive `learning_rate` at epoch 0"),
        ("{0: {optimizer: sgd, learning_rate: 0}}", "positive `learning_rate`"),
        (
            "{0: {learning_rate: 0.1}, 3: {momentum: 0.1}}",
            r"must give `optimizer` at epoch 0.*\['momentum'\]",
        ),
        (
            "{0: {optimizer: sgd, learnng_rate: 0.1}}",
            "Did you mean 'learning_rate'",
        ),
        (
            "{0: {optimizer: sgd, learning_rate: fast}}",
            "a regime at epoch 0 must be a number .*learning_rate='fast'",
        ),
    ],
)
def test_wrong_regime_is_one_clear_line(text, message):
    with pytest.raises(InputError, match=message):
        regimes.from_yaml(text)


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


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_an_optimizer_that_is_named_again_begins_anew(name):
    regime = {
        0: {"optimizer": name, "learning_rate": 0.1},
        2: {"optimizer": name},
    }
    optimizer = regime_optimizer.build(regimes.from_dict(regime), 2)
    weight = keras.Variable([1.0])
    gradients = [1.0, 1.0, 1.0, 1.0, 0.0]
    for gradient in gradients:
        optimizer.take_over()
        before = float(weight[0])
        optimizer.apply([tf.constant([gradient])], [weight])
    # Nothing has been seen since.
    assert float(weight[0]) == before


def test_settings_of_a_phase_are_those_of_its_optimizer():
    regime = {
        0: {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        2: {"optimizer": "adam"},
    }
    regime_optimizer.build(regimes.from_dict(regime), 2)
    regime[2]["momentum"] = 0.5
    with pytest.raises(InputError, match="setting of optimizer 'adam'.*momen"):
        regime_optimizer.build(regimes.from_dict(regime), 2)


def test_text_of_a_regime_is_the_regime():
    regime = regimes.from_yaml(
        "{0: {optimizer: 'adam(beta_1=0.5)', learning_rate: 1e-5}, "
        "7: {nesterov: true, learning_rate: 0.1}}"
    )
    assert regimes.from_yaml(str(regime)) == regime
    assert "\n" not in str(regime)


def test_a_function_renews_the_optimizer_only_where_it_changes():
    regime = regimes.from_function(
        lambda epoch: {
            "optimizer": "sgd" if epoch < 3 else "adam",
            "learning_rate": 0.1 * (epoch + 1),
            "momentum": 0.9,
        },
        epochs=5,
    )
    assert regime.renewals() == [3]
    assert regime.at(4) == {
        "optimizer": "adam",
        "learning_rate": 0.5,
        "momentum": 0.9,
    }
    assert regime.at(9) == regime.at(4)
    assert dict(regime.phases)[1] == {"learning_rate": 0.2}


def test_a_first_learning_rate_scales_all_and_again_changes_nothing():
    regime = published("f1").starting_at(0.3)
    assert [value for _, value in regime.values("learning_rate")] == (
        pytest.approx([0.3, 0.03, 0.003, 0.0003])
    )
    assert regime.starting_at(0.3) is regime


def test_an_optimizer_has_its_turn_with_fresh_slots_and_its_own_settings():
    regime = regimes.from_yaml(
        "{0: {optimizer: sgd, learning_rate: 0.1, momentum: 0.9},"
        " 2: {learning_rate: 0.05},"
        " 3: {optimizer: 'adam(beta_1=0.8)', learning_rate: 0.01}}"
    )
    optimizer = regime_optimizer.build(regime, 2)
    weight = keras.Variable([1.0, -2.0])
    optimizer.build([weight])
    expected, velocity = np.array([1.0, -2.0]), 0.0
    adam = keras.optimizers.Adam(0.01, beta_1=0.8)
    copy = keras.Variable([0.0, 0.0])
    for step in range(10):
        gradient = np.sin(step + np.arange(2.0))
        tensor = tf.constant(gradient, tf.float32)
        assert optimizer.take_over() == (step == 6)
        optimizer.apply([tensor], [weight])
        if step < 6:
            velocity = 0.9 * velocity + gradient
            expected = expected - (0.1 if step < 4 else 0.05) * velocity
            copy.assign(expected)
        else:
            adam.apply([tensor], [copy])
        np.testing.assert_allclose(weight, copy, rtol=1e-5)
        rate = 0.1 if step < 3 else 0.05 if step < 5 else 0.01
        assert float(optimizer.learning_rate) == pytest.approx(rate)
    assert int(optimizer.iterations) == 10


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "{0: {optimizer: sgd, learning_rate: 1}}",
            "never",
            "`momentum_reset` must be one of",
        ),
        ("{0: {optimizer: adam, learning_rate: 1}}", "epoch", "be 'renewal'"),
        (
            "{0: {optimizer: adamw, learning_rate: 1, weight_decay: 0.1},"
            " 1: {weight_decay: 0}}",
            "renewal",
            "`weight_decay` of a regime must not change under .*'adamw'",
        ),
        (
            "{0: {optimizer: rmsprop, learning_rate: 1}, 2: {momentum: 0.5}}",
            "renewal",
            "`momentum` of a regime must not change under .*'rmsprop'",
        ),
        (
            "{0: {optimizer: adm, learning_rate: 1}}",
            "renewal",
            "Did you mean 'adam'",
        ),
    ],
)
def test_what_no_optimizer_can_do_is_one_clear_line(text, options, message):
    with pytest.raises(InputError, match=message):
        regime_optimizer.build(
            regimes.from_yaml(text), 10, momentum_reset=options
        )


def test_settings_of_other_optimizers_are_kept_where_they_have_them():
    regime = regimes.from_yaml(
        "{0: {optimizer: sgd, learning_rate: 1, momentum: 0.5,"
        " weight_decay: 0.1}, 1: {optimizer: adamw},"
        " 2: {optimizer: 'rmsprop(momentum=0.25)'}}"
    )
    sgd, adamw, rmsprop = regime_optimizer.build(
        regime, 10, gradient_accumulation_steps=2, global_clipnorm=5.0
    ).optimizers
    assert (sgd.momentum, sgd.weight_decay) == (0.5, 0.1)
    assert adamw.weight_decay == rmsprop.weight_decay == 0.1
    assert rmsprop.momentum == 0.25
    for optimizer in (sgd, adamw, rmsprop):
        assert optimizer.gradient_accumulation_steps == 2
        assert optimizer.global_clipnorm == 5.0


@pytest.mark.parametrize(("name", "decayed"), [("resnet50", 0), ("f1", 2)])
def test_normalizations_decay_where_their_source_lets_them(name, decayed):
    regime = models.recipe(name).regime
    if callable(regime):
        regime = regimes.from_function(regime, 3)
    else:
        regime = regimes.from_dict(regime)
    optimizer = regime_optimizer.build(regime, updates_per_epoch=2)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
        ]
    )
    before = [np.ones(v.shape) for v in model.trainable_variables]
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    gradients = [tf.zeros(v.shape) for v in model.trainable_variables]
    for _ in range(3):
        optimizer.apply(gradients, model.trainable_variables)
    changed = [
        bool((np.asarray(after) != value).any())
        for value, after in zip(before, model.trainable_variables, strict=True)
    ]
    assert changed[:2] == [True, True]
    assert sum(changed[2:]) == decayed
