"""Gradients of the running batch, and noise on those of every step."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.schedules import PeriodicSchedule
from cb.sparsity.reallocation.base import Algorithm

# These trainings are shorter than what is asked of the algorithms.
pytestmark = pytest.mark.filterwarnings("ignore::cb.errors.NotReached")

RUNNING = "rigl(gradients='running')"
NOISE = "deep_rewiring(noise='gradients')"


@dataclasses.dataclass(frozen=True)
class Watcher(Algorithm):
    """Keeps the masks and the gradients of the running batch that it saw."""

    gradients: str = "running"
    seen: list = dataclasses.field(default_factory=list)

    def period(self, training_length):
        return PeriodicSchedule(3, 0, 10**9)

    def update(self, layers, state, *, event, seed):
        self.seen.append(
            (event.step, [layer.gradients for layer in layers.values()])
        )
        return {key: layer.mask for key, layer in layers.items()}, state


@dataclasses.dataclass(frozen=True)
class Noise(Algorithm):
    """Adds noise to gradients up to step two, and moves nothing."""

    noise_on_gradients = True

    def period(self, training_length):
        return PeriodicSchedule(1, 0, 2)

    def gradient_noise(self, event):
        return float(event.step)

    def update(self, layers, state, *, event, seed):
        return {key: layer.mask for key, layer in layers.items()}, state


def fit(model, data, callback):
    model.fit(data, callbacks=[callback], verbose=0, shuffle=False)


def kernels_of(model):
    return [read(kernel.weight) for kernel in masked_kernels(model)]


def dense_gradients(model, batch):
    """Return the gradients of the loss for the effective kernels."""
    plain = cb.strip(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kernels = [layer.kernel.value for layer in plain.layers if layer.weights]
    with tf.GradientTape() as tape:
        value = loss(batch[1], plain(batch[0]))
    return [gradient.numpy() for gradient in tape.gradient(value, kernels)]


@pytest.mark.parametrize("gradients", ["running", "step"])
def test_an_event_sees_the_gradients_of_its_batch(
    gradients, strategy, build_model, batches, compile_model
):
    """Training by hand up to the step of the event says what they are."""
    with strategy.scope():
        model = compile_model(build_model(), keras.optimizers.SGD(0.1))
    before = compile_model(build_model(), keras.optimizers.SGD(0.1))
    fit(before, batches(4).take(2), cb.callbacks.Reallocation("static"))
    expected = dense_gradients(before, list(batches(4))[2])
    watcher = Watcher(gradients=gradients)
    fit(model, batches(4).take(3), cb.callbacks.Reallocation(watcher))
    assert int(read(model.optimizer.iterations)) == 3
    ((step, seen),) = watcher.seen
    assert step == 3
    for one, two in zip(seen, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-7)
    if gradients == "step":
        last = batches(4).skip(2).take(1)
        fit(before, last, cb.callbacks.Reallocation("static"))
    for one, two in zip(kernels_of(model), kernels_of(before), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-7)


def test_a_skipped_update_leaves_weights_and_slots(
    build_model, batches, compile_model
):
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model = compile_model(build_model(), optimizer)
    fit(model, batches(2), cb.callbacks.Reallocation(Watcher()))
    before = [read(v) for v in (*model.weights, *optimizer.variables)]
    fit(model, batches(1), cb.callbacks.Reallocation(Watcher()))
    after = [read(v) for v in (*model.weights, *optimizer.variables)]
    changed = [
        number
        for number, (one, two) in enumerate(zip(before, after, strict=True))
        if not np.array_equal(one, two)
    ]
    # Only the step has gone on.
    assert changed == [len(model.weights)]
    assert (before[changed[0]], after[changed[0]]) == (2, 3)


def test_the_other_steps_are_those_of_the_optimizer(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), keras.optimizers.SGD(0.1))
    plain = compile_model(build_model(), keras.optimizers.SGD(0.1))
    watcher = Watcher()
    fit(model, batches(7), cb.callbacks.Reallocation(watcher))
    assert [step for step, _ in watcher.seen] == [3, 6]
    taken = [batch for n, batch in enumerate(batches(7), 1) if n % 3]
    for batch in taken:
        one = tf.data.Dataset.from_tensors(batch)
        fit(plain, one, cb.callbacks.Reallocation("static"))
    for one, two in zip(kernels_of(model), kernels_of(plain), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-7)


def test_loss_scaling_is_taken_off(build_model, batches, compile_model):
    seen = []
    for wrap in (lambda o: o, keras.optimizers.LossScaleOptimizer):
        model = compile_model(build_model(), wrap(keras.optimizers.SGD(0.1)))
        watcher = Watcher()
        fit(model, batches(3), cb.callbacks.Reallocation(watcher))
        seen.append(watcher.seen[0][1])
    for one, two in zip(*seen, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-7)


def test_rigl_needs_no_data_of_its_own(build_model, batches, compile_model):
    model = compile_model(build_model(), keras.optimizers.SGD(0.1))
    told = []
    callback = cb.callbacks.Reallocation(
        "rigl(gradients='running', every=2, end=1.0)",
        on_event=lambda step, changes: told.append((step, changes)),
    )
    fit(model, batches(6), callback)
    assert [step for step, _ in told] == [2, 4, 6]
    moved = told[0][1][0]
    assert moved.before.sum() == moved.after.sum()
    assert (moved.before != moved.after).any()


@pytest.mark.parametrize(
    ("spec", "optimizer", "compiled", "message"),
    [
        (RUNNING, {}, {"steps_per_execution": 2}, "per_execution=2"),
        (RUNNING, {"gradient_accumulation_steps": 2}, {}, "_steps=2"),
        (NOISE, {"gradient_accumulation_steps": 2}, {}, "_steps=2"),
    ],
)
def test_what_hides_single_steps_is_refused(
    spec, optimizer, compiled, message, build_model, batches, compile_model
):
    optimizer = keras.optimizers.SGD(0.1, **optimizer)
    model = compile_model(build_model(), optimizer, **compiled)
    callback = cb.callbacks.Reallocation(spec)
    with pytest.raises(ValueError, match=message):
        fit(model, batches(), callback)


def noisy(model, data, seed=0):
    fit(model, data, cb.callbacks.Reallocation(Noise(), seed=seed))
    return kernels_of(model)


def test_noise_is_on_active_gradients_only(
    strategy, build_model, batches, compile_model
):
    with strategy.scope():
        model = compile_model(build_model(), keras.optimizers.SGD(0.5))
    plain = compile_model(build_model(), keras.optimizers.SGD(0.5))
    fit(plain, batches(1), cb.callbacks.Reallocation("static"))
    changes = [
        (one - two) / -0.5
        for one, two in zip(
            noisy(model, batches(1)), kernels_of(plain), strict=True
        )
    ]
    masks = [read(kernel.mask) != 0 for kernel in masked_kernels(model)]
    noise = np.concatenate(
        [change[mask] for change, mask in zip(changes, masks, strict=True)]
    )
    assert not any(
        change[~mask].any() for change, mask in zip(changes, masks, strict=True)
    )
    assert np.unique(np.round(noise, 6)).size == noise.size
    assert noise.std() == pytest.approx(1.0, rel=0.4)


def test_noise_is_a_function_of_seed_and_step_and_ends(
    build_model, batches, compile_model
):
    def train(seed, number):
        model = compile_model(build_model(), keras.optimizers.SGD(0.1))
        return noisy(model, batches(number), seed)

    for one, two in zip(train(1, 2), train(1, 2), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (train(1, 1)[0] != train(2, 1)[0]).any()
    model = compile_model(build_model(), keras.optimizers.SGD(0.1))
    start = noisy(model, batches(2), 1)
    # Two steps on, where there is no noise any more, only the gradient moves.
    expected = dense_gradients(model, next(iter(batches(1))))
    after = noisy(model, batches(1), 1)
    for kernel, old, new, gradient in zip(
        masked_kernels(model), start, after, expected, strict=True
    ):
        active = read(kernel.mask) != 0
        np.testing.assert_allclose(
            (new - old)[active], -0.1 * gradient[active], atol=1e-6
        )


def test_deep_rewiring_may_add_its_noise_to_gradients(
    build_model, batches, compile_model
):
    spec = "deep_rewiring(noise='gradients', eta=0.5, temperature=1.0, absolute"
    model = compile_model(build_model(), keras.optimizers.SGD(0.1))
    plain = compile_model(build_model(), keras.optimizers.SGD(0.1))
    fit(model, batches(1), cb.callbacks.Reallocation(f"{spec}=0.0)"))
    fit(plain, batches(1), cb.callbacks.Reallocation("static"))
    mask = read(masked_kernels(plain)[0].mask) != 0
    stays = mask & (read(masked_kernels(model)[0].mask) != 0)
    change = (kernels_of(model)[0] - kernels_of(plain)[0])[stays]
    # The deviation is one, times the learning rate.
    assert change.std() == pytest.approx(0.1, rel=0.5)
