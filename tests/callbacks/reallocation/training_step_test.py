"""Steps without products with masks train to the bits of those with them."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import cb
from cb.callbacks.reallocation.training_step import TrainingStep
from cb.distribute.variables import read
from cb.layers import masked_gradients
from cb.layers.masked import masked_kernels
from cb.optimization import optimizers
from cb.sparsity import reallocation
from tests.callbacks.reallocation.contract_test import bits
from tests.callbacks.reallocation.contract_test import build
from tests.callbacks.reallocation.contract_test import sgd

# These trainings are shorter than what is asked of the algorithms.
pytestmark = pytest.mark.filterwarnings("ignore::cb.errors.NotReached")


@pytest.fixture
def spared(monkeypatch):
    """Return the masks that no product was made with, as they are found."""
    found = []
    function = masked_gradients.with_gradient

    def spy(weight, mask=None, backward=None):
        if mask is None and backward is not None:
            found.append(id(backward))
        return function(weight, mask, backward)

    monkeypatch.setattr(masked_gradients, "with_gradient", spy)
    return found


def with_products(model):
    """Give a model a training step of its own, which does the same."""
    step = types.MethodType(
        lambda self, data: type(self).train_step(self, data), model
    )
    vars(model)["train_step"] = step
    return model


def fit(model, data, callbacks, **kwargs):
    model.fit(data, verbose=0, shuffle=False, callbacks=callbacks, **kwargs)
    return bits([*model.variables, *model.optimizer.variables])


def both(make, spec, batches, spared, **kwargs):
    """Train with and without products; return whether they were spared."""
    found = []
    for change in (with_products, lambda model: model):
        data = batches(6, seed=9)
        callback = cb.callbacks.Reallocation(spec, data)
        found.append(fit(change(make()), batches(6), [callback], **kwargs))
        if len(found) == 1:
            assert not spared
    assert found[0] == found[1]
    return bool(spared)


OPTIMIZERS = {
    "momentum": sgd,
    "nesterov": lambda: sgd(nesterov=True, weight_decay=0.1),
    "clipped": lambda: sgd(global_clipnorm=0.5),
    "accumulated": lambda: sgd(gradient_accumulation_steps=2),
    "averaged": lambda: sgd(use_ema=True, ema_overwrite_frequency=3),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(sgd()),
    "adam": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(0.01),
    "adagrad": lambda: keras.optimizers.Adagrad(0.1),
    "ftrl": lambda: keras.optimizers.Ftrl(0.1),
    "lamb": lambda: keras.optimizers.Lamb(0.01),
    "lion": lambda: keras.optimizers.Lion(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, centered=True),
    "schedule_free": lambda: keras.optimizers.ScheduleFreeAdamW(0.01),
    "published": lambda: optimizers.build("published_sgd"),
    "lookahead": lambda: optimizers.build("lookahead"),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name, build_model, batches, compile_model, spared):
    def make():
        return compile_model(build_model(), OPTIMIZERS[name]())

    assert both(make, "set(every=2, end=1.0)", batches, spared, epochs=2)


@pytest.mark.parametrize("name", reallocation.names())
def test_every_algorithm(name, build_model, batches, compile_model, spared):
    algorithm = build(name)

    def make():
        return compile_model(build_model(batch_norm=True), sgd())

    masks = both(make, algorithm, batches, spared)
    assert masks == (algorithm.zero_inactive and not algorithm.straight_through)


@pytest.mark.parametrize(
    "spec",
    ["rigl(gradients='running', every=2)", "deep_rewiring(noise='gradients')"],
)
def test_gradients_of_steps(spec, build_model, batches, compile_model, spared):
    def make():
        return compile_model(build_model(), sgd())

    assert both(make, spec, batches, spared)


def test_two_replicas(
    build_model, batches, compile_model, two_replicas, spared
):
    def make():
        with two_replicas.scope():
            return compile_model(build_model(), sgd())

    assert both(make, "rigl(every=2, end=1.0)", batches, spared)


def of_layers(x, outputs, dtype=None):
    """Return a maker of a compiled sparse model, and its data."""

    def make():
        keras.utils.set_random_seed(0)
        inputs = keras.Input(x.shape[1:], dtype=str(x.dtype))
        hidden = layers.GlobalAveragePooling1D()(outputs(inputs))
        model = keras.Model(inputs, layers.Dense(3, dtype="float32")(hidden))
        model = cb.sparsify(model, 0.5, include=["*"])
        model.compile(sgd(), "mse")
        return model

    y = np.random.default_rng(1).normal(size=(len(x), 3)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    return make, lambda *args, **kwargs: data


KINDS = {
    "lstm": lambda: layers.LSTM(4, return_sequences=True),
    "separable": lambda: layers.SeparableConv1D(4, 2),
    "transposed": lambda: layers.Conv1DTranspose(4, 2),
    "einsum": lambda: layers.EinsumDense("abc,cd->abd", (None, 5)),
    "mixed": lambda: layers.Dense(4, dtype="mixed_bfloat16"),
    "penalized": lambda: layers.Conv1D(
        4, 2, kernel_regularizer="l2", kernel_constraint="max_norm"
    ),
}


@pytest.mark.parametrize("name", [*KINDS, "embedding", "attention"])
def test_every_kind_of_layer(name, spared):
    random = np.random.default_rng(0)
    x = random.normal(size=(32, 6, 5)).astype("float32")
    if name == "embedding":
        x = random.integers(9, size=(32, 6))
    kinds = {
        **KINDS,
        "embedding": lambda: layers.Embedding(9, 4),
        "attention": lambda: lambda x: layers.MultiHeadAttention(2, 3)(x, x),
    }
    make, data = of_layers(x, lambda inputs: kinds[name]()(inputs))
    assert both(make, "set(every=2, end=1.0)", data, spared)


class Write(keras.callbacks.Callback):
    """Writes all weights before a batch, after the turn of others."""

    def __init__(self, number, write):
        super().__init__()
        self.number, self.write = number, write

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.number:
            self.write(self.model)


def set_weights(model):
    """Write ones, under the masks too."""
    for kernel in masked_kernels(model):
        kernel.weight.assign(0.1 * np.ones(kernel.weight.shape))


def test_what_others_write_between_two_steps_is_under_masks(
    build_model, batches, compile_model, spared
):
    found = []
    for change in (with_products, lambda model: model):
        model = change(compile_model(build_model(), sgd()))
        callbacks = [cb.callbacks.Reallocation("static"), Write(3, set_weights)]
        found.append(fit(model, batches(6), callbacks))
    assert spared
    assert found[0] == found[1]


def test_what_is_written_unseen_is_under_masks_from_the_next_epoch(
    build_model, batches, compile_model
):
    class Restore(keras.callbacks.Callback):
        """Writes past Keras, as a checkpoint of TensorFlow does."""

        def on_epoch_begin(self, epoch, logs=None):
            for kernel in masked_kernels(self.model):
                kernel.weight.value.assign(np.ones(kernel.weight.shape))

    model = compile_model(build_model(), sgd())
    seen = []

    def look(model):
        for kernel in masked_kernels(model):
            seen.append(read(kernel.weight)[read(kernel.mask) == 0].any())

    static = cb.callbacks.Reallocation("static")
    callbacks = [static, Restore(), Write(0, look)]
    fit(model, batches(3), callbacks, epochs=2)
    assert len(seen) == 4
    assert not any(seen)


def drifting(model):
    kernel = masked_kernels(model)[0]
    kernel.weight.constraint = lambda weight: weight + 0.01
    return model


def penalized(model):
    kernel = masked_kernels(model)[0]
    kernel.weight.regularizer = keras.regularizers.OrthogonalRegularizer(0.1)
    return model


class Noisy(keras.optimizers.SGD):
    """Moves every weight, whatever its gradient is."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient + 0.1, variable, learning_rate)


def noisy(model):
    model.compile(Noisy(0.1), model.loss)
    return model


def eager(model):
    model.compile(sgd(), model.loss, run_eagerly=True)
    return model


def own_loss(model):
    loss = model.compute_loss
    vars(model)["compute_loss"] = lambda *args, **kwargs: loss(*args, **kwargs)
    return model


@pytest.mark.parametrize(
    ("change", "some"),
    [
        (drifting, True),
        (penalized, True),
        (noisy, False),
        (eager, False),
        (own_loss, False),
        (with_products, False),
    ],
)
def test_where_zeros_are_not_certain_products_stay(
    change, some, build_model, batches, compile_model, spared
):
    model = change(compile_model(build_model(), sgd()))
    fit(model, batches(3), [cb.callbacks.Reallocation("static")])
    first, second = masked_kernels(model)
    assert (id(second.mask) in spared) == some
    assert id(first.mask) not in spared


def test_slots_that_are_kept_move_dropped_weights(
    build_model, batches, compile_model, spared
):
    keeps = [
        name
        for name in reallocation.names()
        if "reset_momentum"
        in {f.name for f in dataclasses.fields(reallocation.get(name))}
    ]
    assert "set" in keeps
    model = compile_model(build_model(), sgd())
    spec = "set(every=2, end=1.0, reset_momentum=False)"
    fit(model, batches(6), [cb.callbacks.Reallocation(spec)])
    assert not spared


def test_nothing_is_left_behind(build_model, batches, compile_model, spared):
    """Outside of `fit` with the callback, masks are in every product."""
    model = compile_model(build_model(), sgd())
    fit(model, batches(2), [cb.callbacks.Reallocation("static")])
    assert spared
    spared.clear()
    assert isinstance(model.train_function, TrainingStep)
    set_weights(model)
    expected = with_products(compile_model(build_model(), sgd()))
    for one, two in zip(expected.variables, model.variables, strict=True):
        one.assign(two)
    expected.optimizer.build(expected.trainable_variables)
    for one, two in zip(
        expected.optimizer.variables, model.optimizer.variables, strict=True
    ):
        one.assign(two)
    assert fit(model, batches(3), []) == fit(expected, batches(3), [])
    assert not spared
    assert "update_step" not in vars(model.optimizer)


def test_a_second_fit_traces_nothing(
    build_model, batches, compile_model, spared
):
    model = compile_model(build_model(), sgd())
    for spec in ("set(every=2)", "static", "rigl(every=2)"):
        callback = cb.callbacks.Reallocation(spec, batches(2))
        fit(model, batches(4), [callback])
    assert len(spared) == 2


def test_a_step_that_somebody_replaces_is_theirs(
    build_model, batches, compile_model, spared
):
    model = compile_model(build_model(), sgd())
    model.make_train_function()
    usual, calls = model.train_function, []

    def own(iterator):
        calls.append(1)
        return usual(iterator)

    model.train_function = own
    fit(model, batches(3), [cb.callbacks.Reallocation("static")])
    assert len(calls) == 3
    assert not spared
