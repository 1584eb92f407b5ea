"""The update rules that Keras lacks, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from cb.callbacks.slots import slots
from cb.errors import InputError
from cb.optimization import optimizers
from cb.optimization.clipping import clip_by_global_norm
from cb.optimization.lookahead import Lookahead
from cb.optimization.published_sgd import PublishedSGD
from cb.optimization.radam import RAdam
from cb.optimization.sequence import OptimizerSequence

BOUNDARY = 4
RATES = [0.1] * (BOUNDARY + 1) + [0.01] * 20


def schedule():
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [BOUNDARY], [0.1, 0.01]
    )


def gradients_of(weights, step):
    """A gradient that depends on the weights, so that errors add up."""
    return [0.3 * w + np.sin(step + np.arange(w.size)) for w in weights]


def initial():
    return [np.array([1.0, -2.0, 0.5]), np.array([0.2, -0.1])]


def variables():
    return [
        keras.Variable(initial()[0], name="kernel"),
        keras.Variable(initial()[1], name="bias"),
    ]


def train(optimizer, steps, weights=None):
    weights = weights or variables()

    @tf.function
    def apply(gradients):
        optimizer.apply(gradients, weights)

    optimizer.build(weights)
    for step in range(steps):
        values = [np.array(w, "float64") for w in weights]
        apply([tf.constant(g, tf.float32) for g in gradients_of(values, step)])
    return weights


def check(optimizer, reference, steps=12):
    expected = initial()
    for step in range(steps):
        expected = reference(expected, gradients_of(expected, step), step)
    for ours, theirs in zip(train(optimizer, steps), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


class NumpySGD:
    def __init__(self, momentum, decays, clip=None, reset=None, nesterov=False):
        self.momentum, self.decays, self.clip = momentum, decays, clip
        self.reset, self.nesterov = reset, nesterov
        self.velocity = [0.0, 0.0]

    def __call__(self, weights, gradients, step):
        factor = 1.0
        if self.clip:
            norm = np.sqrt(sum((g**2).sum() for g in gradients))
            factor = min(1.0, self.clip / (norm + 1e-6))
        new = []
        for i, (w, g) in enumerate(zip(weights, gradients, strict=True)):
            d = g * factor + self.decays[i] * w
            if self.reset and step % self.reset == 0:
                self.velocity[i] = 0.0
            self.velocity[i] = self.momentum * self.velocity[i] + d
            move = self.velocity[i]
            if self.nesterov:
                move = d + self.momentum * move
            new.append(w - RATES[step] * move)
        return new


class NumpyRAdam:
    def __init__(self, decay, threshold=5.0):
        self.decay, self.threshold = decay, threshold
        self.m, self.v = [0.0, 0.0], [0.0, 0.0]

    def __call__(self, weights, gradients, step):
        t, new = step + 1, []
        longest = 2 / (1 - 0.999) - 1
        rho = longest - 2 * t * 0.999**t / (1 - 0.999**t)
        for i, (w, g) in enumerate(zip(weights, gradients, strict=True)):
            self.m[i] = 0.9 * self.m[i] + 0.1 * g
            self.v[i] = 0.999 * self.v[i] + 0.001 * g**2
            update = self.m[i] / (1 - 0.9**t)
            if rho >= self.threshold:
                r = np.sqrt(
                    (rho - 4)
                    * (rho - 2)
                    * longest
                    / ((longest - 4) * (longest - 2) * rho)
                )
                root = np.sqrt(self.v[i] / (1 - 0.999**t))
                update = r * update / (root + 1e-6)
            new.append(w - RATES[step] * (update + self.decay * w))
        return new


class NumpyLookahead:
    def __init__(self, fast, period, slow_step):
        self.fast, self.period, self.slow_step = fast, period, slow_step
        self.slow = initial()

    def __call__(self, weights, gradients, step):
        weights = self.fast(weights, gradients, step)
        if (step + 1) % self.period == 0:
            self.slow = [
                s + self.slow_step * (w - s)
                for s, w in zip(self.slow, weights, strict=True)
            ]
            weights = self.slow
        return weights


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_over_a_change_of_learning_rate(nesterov):
    check(
        PublishedSGD(schedule(), 0.9, nesterov, weight_decay=0.01),
        NumpySGD(0.9, [0.01, 0.01], nesterov=nesterov),
    )


def test_sgd_leaves_excluded_variables_undecayed():
    check(
        PublishedSGD(
            schedule(), weight_decay=0.1, exclude_from_decay=("bias",)
        ),
        NumpySGD(0.9, [0.1, 0.0]),
    )


def test_sgd_clips_before_decay():
    check(
        PublishedSGD(schedule(), weight_decay=0.1, global_clipnorm=0.5),
        NumpySGD(0.9, [0.1, 0.1], clip=0.5),
    )


def test_sgd_resets_velocities_as_published():
    check(
        PublishedSGD(schedule(), weight_decay=0.1, momentum_reset=3),
        NumpySGD(0.9, [0.1, 0.1], reset=3),
    )


def test_first_update_after_a_reset_has_no_momentum():
    optimizer = PublishedSGD(0.1, weight_decay=0.01, momentum_reset=4)
    weights = train(optimizer, 4)
    before = [np.array(w, "float64") for w in weights]
    gradient = [np.full(3, 2.0), np.full(2, -1.0)]
    optimizer.apply([tf.constant(g, tf.float32) for g in gradient], weights)
    for w, g, new in zip(before, gradient, weights, strict=True):
        np.testing.assert_allclose(new, w - 0.1 * (g + 0.01 * w), rtol=1e-6)


def test_sgd_follows_schedules_of_momentum_and_decay():
    piecewise = keras.optimizers.schedules.PiecewiseConstantDecay
    optimizer = PublishedSGD(
        schedule(),
        piecewise([2], [0.0, 0.5]),
        False,
        piecewise([5], [0.1, 0.0]),
    )
    reference = NumpySGD(0.0, [0.1, 0.1])

    def changing(weights, gradients, step):
        reference.momentum = 0.0 if step <= 2 else 0.5
        reference.decays = [0.1 if step <= 5 else 0.0] * 2
        return reference(weights, gradients, step)

    check(optimizer, changing)


def test_radam_steps_of_momentum_then_rectified():
    optimizer = RAdam(schedule(), weight_decay=0.01, epsilon=1e-6)
    check(optimizer, NumpyRAdam(0.01))
    for step, expected in ((5, False), (6, True)):
        optimizer._iterations.assign(step - 1)
        assert bool(optimizer._factors()[3]) is expected


@pytest.mark.parametrize("kind", ["lookahead", "sequence"])
def test_what_is_excluded_from_decay_is_so_in_a_wrapper(kind):
    inner = [keras.optimizers.AdamW(0.1, weight_decay=0.5) for _ in range(2)]
    optimizer = Lookahead(inner[0])
    if kind == "sequence":
        optimizer = OptimizerSequence(inner, [0, 1])
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    names = ("kernel", "bias")
    variables = [keras.Variable([1.0], name=name) for name in names]
    for _ in range(2):
        if kind == "sequence":
            optimizer.take_over()
        optimizer.apply([tf.zeros(1)] * 2, variables)
    kernel, bias = (float(variable[0]) for variable in variables)
    assert kernel < 1.0 and bias == 1.0


def test_lookahead_hands_arguments_to_specs_alone():
    adam = keras.optimizers.Adam(0.001)
    with pytest.raises(InputError, match="`global_clipnorm` must be that of"):
        Lookahead(adam, global_clipnorm=1.0)


def test_lookahead_follows_slowly():
    check(
        Lookahead(RAdam(schedule(), weight_decay=0.01, epsilon=1e-6), 6, 0.5),
        NumpyLookahead(NumpyRAdam(0.01), 6, 0.5),
        steps=20,
    )


def test_lookahead_counts_updates_under_accumulation():
    rate = 0.1
    optimizer = Lookahead(
        "sgd",
        sync_period=2,
        slow_step=0.5,
        learning_rate=rate,
        gradient_accumulation_steps=3,
    )
    weight = keras.Variable([1.0])
    expected, slow = 1.0, 1.0
    for batch in range(12):
        optimizer.apply([tf.constant([float(batch)])], [weight])
        if batch % 3 == 2:
            expected -= rate * (batch - 1)
        if batch % 6 == 5:
            slow = expected = slow + 0.5 * (expected - slow)
        np.testing.assert_allclose(weight, [expected], rtol=1e-6)


def test_lookahead_begins_in_later_epochs_too():
    first = train(Lookahead("sgd", 2, 0.5, learning_rate=0.1), 3)
    later = Lookahead("sgd", 2, 0.5, learning_rate=0.1)
    later.build(weights := variables())
    # As a training does that starts with a later epoch.
    later.optimizer.iterations.assign(100)
    train(later, 3, weights)
    for one, other in zip(first, weights, strict=True):
        np.testing.assert_allclose(one, other)


def test_lookahead_of_what_moves_inactive_weights_is_refused():
    optimizer = Lookahead(keras.optimizers.Muon(0.1))
    optimizer.build(weights := variables())
    with pytest.raises(InputError, match="Optimizer Muon cannot train masked"):
        slots(optimizer, weights[:1])


def test_lookahead_begins_from_weights_loaded_after_build():
    optimizer = Lookahead(keras.optimizers.SGD(0.1), 1, 0.5)
    weight = keras.Variable([1.0])
    optimizer.build([weight])
    weight.assign([5.0])
    optimizer.apply([tf.constant([10.0])], [weight])
    np.testing.assert_allclose(weight, [4.5], rtol=1e-6)


def test_clipping_factor():
    clipped = clip_by_global_norm([tf.constant([6.0]), tf.constant([8.0])], 5)
    np.testing.assert_allclose(
        np.concatenate(clipped), [6 * 0.49999995, 8 * 0.49999995], rtol=1e-7
    )
    kept = clip_by_global_norm([tf.constant([3.0])], 5.0)
    assert float(kept[0][0]) == 3.0


def test_slow_weights_are_among_the_slots():
    optimizer = Lookahead("radam")
    weights = variables()
    optimizer.build(weights)
    names = [slot.variable.path for slot in slots(optimizer, weights)[0]]
    for part in ("slow", "momentum", "velocity"):
        assert sum(part in name for name in names) == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("published_sgd(momentum=1.5)", "momentum=1.5"),
        ("published_sgd(momentum_reset=0)", "momentum_reset=0"),
        ("lookahead(sync_period=0)", "sync_period=0"),
        ("lookahead(slow_step=2.0)", "slow_step=2.0"),
        ("lookahead(optimizer='adm')", "Unknown optimizer.*'adam'"),
    ],
)
def test_wrong_argument_is_one_clear_line(spec, message):
    with pytest.raises(InputError, match=message):
        optimizers.build(spec, learning_rate=0.1)


def test_all_are_known_by_name():
    known = optimizers.names()
    assert {"published_sgd", "radam", "lookahead"} <= set(known)


@pytest.mark.parametrize("make", [PublishedSGD, RAdam])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_clipping_in_every_type(make, dtype):
    # The square of 600 is no float16.
    values, limit = np.array([[600.0, 800.0]]), 1.0
    model = keras.Sequential([keras.Input((1,), dtype=dtype)])
    model.add(keras.layers.Dense(2, use_bias=False, dtype=dtype))
    model.layers[0].kernel.assign(np.zeros((1, 2)))
    optimizer = make(learning_rate=1.0, global_clipnorm=limit)
    gradient = tf.cast(values, dtype)
    optimizer.apply([gradient], model.trainable_variables)
    moved = -np.array(model.layers[0].kernel, "float64")
    np.testing.assert_allclose(moved, [[0.6, 0.8]], rtol=1e-2)
    if dtype == "float64":
        factor = limit / (1000.0 + 1e-6)
        np.testing.assert_allclose(moved, values * factor, rtol=1e-12)


def test_clipping_of_several_types_takes_one_norm():
    gradients = [tf.constant([3.0], "float64"), tf.constant([4.0], "float16")]
    clipped = clip_by_global_norm(gradients, 1.0)
    assert [one.dtype.name for one in clipped] == ["float64", "float16"]
    found = [float(one[0]) for one in clipped]
    assert found == pytest.approx([0.6, 0.8], rel=1e-3)


def test_the_factors_of_rectified_adam_are_made_once_a_step(monkeypatch):
    made, factors = [], RAdam._factors
    monkeypatch.setattr(
        RAdam, "_factors", lambda self: made.append(self) or factors(self)
    )
    model = keras.Sequential(
        [keras.Input((3,)), *(keras.layers.Dense(3) for _ in range(4))]
    )
    model.compile(RAdam(), "mse")
    x = np.ones((8, 3), np.float32)
    model.fit(x, x, 2, 1, verbose=0)
    # Not for each of the eight variables; the first call traces twice.
    assert 0 < len(made) <= 2
