"""The optimizers that Keras lacks, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
import cb.optimization.schedules  # noqa: F401 (registers its classes)
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


SPECS = [
    "published_sgd(weight_decay=0.01, exclude_from_decay=('bias',))",
    "published_sgd(momentum_reset=3, nesterov=True, global_clipnorm=0.5)",
    "radam(weight_decay=0.01, global_clipnorm=0.5)",
    "lookahead(optimizer='radam(weight_decay=0.01)', sync_period=2)",
    "lookahead(optimizer='adagrad', sync_period=2)",
    "lookahead(optimizer='sgd(momentum=0.9, use_ema=True)', sync_period=2)",
]


@pytest.mark.parametrize("spec", SPECS)
def test_saved_and_restored_in_the_middle(spec, tmp_path):
    def model():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)]
        )
        model.compile(optimizers.build(spec, learning_rate=0.05), "mse")
        return model

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))

    def fit(model):
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)

    whole = model()
    fit(whole)
    whole.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    fit(whole)
    fit(resumed)
    assert resumed.optimizer.get_config() == whole.optimizer.get_config()
    for ours, theirs in zip(resumed.weights, whole.weights, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("spec", SPECS)
def test_inactive_weights_and_slots_stay_zero(spec):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3),
        ]
    )
    model = cb.sparsify(model, 0.5)
    model.compile(optimizers.build(spec, learning_rate=0.05), "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 6)), rng.normal(size=(32, 3))
    moves = cb.callbacks.Reallocation("set(every=3)")
    model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[moves])
    kernels = cb.layers.masked.masked_kernels(model)
    found = slots(model.optimizer, [kernel.weight for kernel in kernels])
    for kernel, of_kernel in zip(kernels, found, strict=True):
        inactive = np.array(kernel.mask) == 0
        assert inactive.any()
        assert not np.array(kernel.weight)[inactive].any()
        assert of_kernel
        for slot in of_kernel:
            at_rest = np.array(slot.variable)[inactive]
            np.testing.assert_array_equal(at_rest, np.float32(slot.initial))


def test_slow_weights_are_among_the_slots():
    optimizer = Lookahead("radam")
    weights = variables()
    optimizer.build(weights)
    names = [slot.variable.path for slot in slots(optimizer, weights)[0]]
    for part in ("slow", "momentum", "velocity"):
        assert sum(part in name for name in names) == 1


@pytest.mark.parametrize("spec", SPECS[:4])
def test_two_replicas_train_as_one(spec, two_replicas):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 3)).astype("float32")
    y = rng.normal(size=(24, 2)).astype("float32")

    def trained(strategy):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
            model.compile(optimizers.build(spec, learning_rate=0.05), "mse")
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        return model

    one, two = trained(tf.distribute.get_strategy()), trained(two_replicas)
    for ours, theirs in zip(two.weights, one.weights, strict=True):
        copies = ours.value.values
        assert np.array_equal(copies[0].numpy(), copies[1].numpy())
        np.testing.assert_allclose(copies[0].numpy(), theirs, atol=1e-5)


@pytest.mark.parametrize("spec", ["radam", "lookahead(sync_period=2)"])
def test_loss_scaling_of_mixed_precision(spec):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, dtype="mixed_float16")]
    )
    inner = optimizers.build(spec, learning_rate=0.05)
    model.compile(keras.optimizers.LossScaleOptimizer(inner), "mse")
    history = model.fit(np.ones((8, 3)), np.ones((8, 2)), epochs=3, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0]


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


@pytest.mark.parametrize(
    "name, config, module",
    [
        (
            "Warmup",
            {"schedule": 0.5, "steps": 4, "initial": 0.1},
            "large_batch",
        ),
        ("PerUpdate", {"schedule": "decay", "batches": 2}, "large_batch"),
        ("Later", {"schedule": "decay", "start": 3}, "succession"),
    ],
)
def test_schedules_of_earlier_versions_load(name, config, module):
    decay = keras.saving.serialize_keras_object(schedule())
    if config["schedule"] == "decay":
        config = {**config, "schedule": decay}
    saved = {
        "module": f"cb.optimization.{module}",
        "class_name": name,
        "config": config,
        "registered_name": f"cb>{name}",
    }
    loaded = keras.saving.deserialize_keras_object(saved)
    assert loaded.get_config() == config
    assert keras.saving.serialize_keras_object(loaded)["config"] == config
    assert keras.saving.get_registered_name(type(loaded)) == f"cb>{name}"
    assert np.isfinite(float(loaded(5)))


def test_sequences_of_earlier_versions_load():
    optimizers = [PublishedSGD(0.1), RAdam(0.2)]
    config = {
        "name": "succession",
        "optimizers": [
            keras.saving.serialize_keras_object(one) for one in optimizers
        ],
        "starts": [0, 5],
    }
    saved = {
        "module": "cb.optimization.succession",
        "class_name": "Succession",
        "config": config,
        "registered_name": "cb>Succession",
    }
    loaded = keras.optimizers.deserialize(saved)
    assert isinstance(loaded, OptimizerSequence)
    assert loaded.starts == [0, 5]
    assert loaded.get_config() == config
