"""The optimizers that Keras lacks in `fit`, in files and on replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.callbacks.slots import slots
from cb.optimization import optimizers

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
    "spec, jit_compile",
    [
        (SPECS[0], True),
        *((spec, False) for spec in SPECS[:4]),
        ("published_sgd(global_clipnorm=0.1)", False),
    ],
)
def test_rows_of_an_embedding_are_updated_as_a_whole_table(spec, jit_compile):
    tokens = np.array([[0, 2], [2, 2], [1, 0]])
    y = np.arange(3.0)[:, None]

    def trained(first, x):
        model = keras.Sequential([first, keras.layers.Dense(1)])
        model.build(x.shape)
        rng = np.random.default_rng(0)
        model.set_weights([rng.normal(size=w.shape) for w in model.weights])
        optimizer = optimizers.build(spec, learning_rate=0.05)
        model.compile(optimizer, "mse", jit_compile=jit_compile)
        model.fit(x, y[:, None].repeat(2, 1), epochs=3, verbose=0)
        return model.get_weights()

    rows = trained(keras.layers.Embedding(4, 5), tokens)
    whole = trained(keras.layers.Dense(5, use_bias=False), np.eye(4)[tokens])
    for ours, theirs in zip(rows, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
