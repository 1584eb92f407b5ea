"""What a training changes in a model, and that nothing of it stays."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.sparsity import reallocation
from tests.callbacks.reallocation.contract_test import bits
from tests.callbacks.reallocation.contract_test import callback_for
from tests.callbacks.reallocation.contract_test import sgd
from tests.callbacks.reallocation.foreign_writes_test import Call
from tests.callbacks.reallocation.foreign_writes_test import Kill
from tests.callbacks.reallocation.foreign_writes_test import fit

# These trainings are shorter than what is asked of the algorithms.
pytestmark = pytest.mark.filterwarnings("ignore::cb.errors.NotReached")


def test_a_model_in_training_can_be_copied(build_model, batches, compile_model):
    model = compile_model(build_model(), sgd())
    plain = []
    look = Call(lambda model: plain.append(cb.strip(model)))
    fit(model, batches(2), [cb.callbacks.Reallocation("static"), look], 1)
    for x, _ in batches(1):
        before = plain[0](x)
        fit(model, batches(2), [cb.callbacks.Reallocation("static")], 1)
        np.testing.assert_array_equal(plain[0](x), before)


def test_a_training_that_was_cut_leaves_nothing_behind(
    build_model, batches, compile_model
):
    found = []
    for cut in (False, True):
        model = compile_model(build_model(), sgd())
        start = model.get_weights()
        if cut:
            callbacks = [callback_for("top_kast", batches), Kill()]
            with pytest.raises(KeyboardInterrupt):
                fit(model, batches(2), callbacks)
            compile_model(model, sgd())
            model.set_weights(start)
        fit(model, batches(4), [callback_for("top_kast", batches)], epochs=1)
        fit(model, batches(4), [callback_for("static", batches)], epochs=1)
        found.append(bits(model.variables))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "spec",
    [
        "top_kast",
        "rigl(gradients='running', every=2)",
        "deep_rewiring(noise='gradients')",
    ],
)
def test_a_step_that_was_never_made_is_forgotten(
    spec, build_model, batches, compile_model
):
    def reallocating():
        return cb.callbacks.Reallocation(spec, batches(4, seed=9))

    def interrupt(_):
        raise KeyboardInterrupt

    found = []
    for cut in (False, True):
        model = compile_model(build_model(), sgd())
        start = model.get_weights()
        if cut:
            cutting = [reallocating(), Call(interrupt)]
            with pytest.raises(KeyboardInterrupt):
                fit(model, batches(4), cutting)
            model.set_weights(start)
        fit(model, batches(4), [callback_for("static", batches)], epochs=1)
        fit(model, batches(4), [reallocating()], epochs=1)
        found.append(bits(model.variables))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", reallocation.names())
def test_a_cut_training_leaves_layers_and_losses_as_they_were(
    name, build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    kernels = masked_kernels(model)
    kernels[0].weight.regularizer = keras.regularizers.L2(0.1)
    kernels[1].weight.constraint = keras.constraints.MaxNorm(2.0)

    def look(_=None):
        rules = [(k.weight.regularizer, k.weight.constraint) for k in kernels]
        parts = [
            (k.layer.straight_through, *k.layer.backward_masks, k.layer.zeroed)
            for k in kernels
        ]
        return rules, parts

    before, during = look(), []
    watch = Call(lambda _: during.append(look()))
    with pytest.raises(KeyboardInterrupt):
        fit(model, batches(2), [callback_for(name, batches), watch, Kill()])
    assert all(found == before for found in [*during, look()])
    expected = compile_model(cb.strip(model), sgd()).evaluate(
        batches(2), verbose=0
    )
    expected += 0.1 * np.square(read(kernels[0].weight)).sum()
    found = model.evaluate(batches(2), verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("spec", ["top_kast(every=2)", "deep_rewiring"])
def test_a_loop_of_the_users_own_trains_as_fit(
    spec, build_model, batches, compile_model
):
    found = []
    for own in (False, True):
        model = compile_model(build_model(), sgd())
        length = {"total_steps": 4, "steps_per_epoch": 4}
        callback = cb.callbacks.Reallocation(spec, **length)
        if not own:
            fit(model, batches(4), [callback], epochs=1)
        else:
            loop(model, batches(4), callback)
        found.append([read(k.weight) for k in masked_kernels(model)])
        rules = [k.weight.regularizer for k in masked_kernels(model)]
        assert rules == [None] * len(rules)
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def loop(model, data, callback):
    """Train for an epoch without `fit`."""
    weights = model.trainable_variables
    model.optimizer.build(weights)
    calls = keras.callbacks.CallbackList([callback], model=model)
    calls.set_params({"epochs": 1, "steps": 4})

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True))
        gradients = tape.gradient(loss, [one.value for one in weights])
        model.optimizer.apply(gradients, weights)

    calls.on_train_begin()
    calls.on_epoch_begin(0)
    for number, (x, y) in enumerate(data):
        calls.on_train_batch_begin(number)
        step(x, y)
        calls.on_train_batch_end(number, {})
    calls.on_epoch_end(0, {})
    calls.on_train_end({})
