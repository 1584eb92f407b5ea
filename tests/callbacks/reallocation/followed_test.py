"""A callback moves what its optimizer trains, by that optimizer's steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import masked_kernels

SEEDS = 4


def perceptron(inputs, outputs, seed):
    kernel = keras.initializers.GlorotUniform(seed)
    layers = [
        keras.Input((inputs,)),
        keras.layers.Dense(8, "relu", kernel_initializer=kernel),
        keras.layers.Dense(outputs, kernel_initializer=kernel),
    ]
    return cb.sparsify(keras.Sequential(layers), 0.5, "uniform", seed=seed)


class Gan(keras.Model):
    """A generator and a discriminator, each with an optimizer."""

    def __init__(self, critic_steps=1):
        super().__init__()
        self.generator = perceptron(SEEDS, 6, 0)
        self.discriminator = perceptron(6, 1, 1)
        self.critic_steps = critic_steps
        self.noise = keras.random.SeedGenerator(3)
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

    def compile(self, d_optimizer, g_optimizer, **kwargs):
        super().compile(**kwargs)
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

    def train_step(self, data):
        real = data[0]
        size = tf.shape(real)[0]

        def step(part, optimizer, labels, function):
            with tf.GradientTape() as tape:
                loss = self.loss_fn(labels, function())
            weights = part.trainable_weights
            found = tape.gradient(loss, weights)
            optimizer.apply_gradients(zip(found, weights, strict=True))
            return loss

        def fake():
            noise = keras.random.normal((size, SEEDS), seed=self.noise)
            return self.generator(noise)

        labels = tf.concat([tf.ones((size, 1)), tf.zeros((size, 1))], 0)
        for _ in range(self.critic_steps):
            both = tf.concat([real, fake()], 0)
            loss = step(
                self.discriminator,
                self.d_optimizer,
                labels,
                lambda: self.discriminator(both),  # noqa: B023
            )
        step(
            self.generator,
            self.g_optimizer,
            tf.ones((size, 1)),
            lambda: self.discriminator(fake()),
        )
        return {"loss": loss}


def compiled(critic_steps=1, **kwargs):
    gan = Gan(critic_steps)
    optimizers = [keras.optimizers.Adam(0.01) for _ in range(2)]
    gan.compile(*optimizers, **kwargs)
    return gan


def both(gan, spec="set(every=2, decay='constant')", **kwargs):
    optimizers = gan.d_optimizer, gan.g_optimizer
    return [
        cb.callbacks.Reallocation(spec, optimizer=optimizer, **kwargs)
        for optimizer in optimizers
    ]


def fit(model, batches, callbacks, **kwargs):
    model.fit(batches, verbose=0, shuffle=False, callbacks=callbacks, **kwargs)


def masks(model):
    return [read(kernel.mask) for kernel in masked_kernels(model)]


@pytest.mark.parametrize("spec", ["set", "snfs", "rigl(gradients='running')"])
def test_each_part_of_a_gan_moves_by_its_own_optimizer(spec, batches):
    gan = compiled()
    before = masks(gan)
    name, _, arguments = spec.partition("(")
    spec = f"{name}(every=2, end=1.0, {arguments or ')'}"
    moved = []
    callbacks = both(
        gan, spec, on_event=lambda step, changes: moved.append((step, changes))
    )
    fit(gan, batches(6), callbacks)
    assert [step for step, _ in moved] == [2, 2, 4, 4, 6, 6]
    d, g = ({c.kernel.name for c in changes} for _, changes in moved[:2])
    assert d == {k.name for k in masked_kernels(gan.discriminator)}
    assert g == {k.name for k in masked_kernels(gan.generator)}
    for old, kernel in zip(before, masked_kernels(gan), strict=True):
        new = read(kernel.mask)
        # The smallest kernel may get back what it has dropped.
        assert (new != old).any() or new.size == 8
        if name != "snfs":
            assert new.sum() == old.sum()
        assert not read(kernel.weight)[new == 0].any()


def test_optimizers_need_not_be_built_and_train_the_same(batches):
    found = []
    for built in (False, True):
        gan = compiled()
        if built:
            for part, optimizer in (
                (gan.discriminator, gan.d_optimizer),
                (gan.generator, gan.g_optimizer),
            ):
                optimizer.build(part.trainable_variables)
        fit(
            gan,
            batches(6),
            both(gan, "magnitude_pruning(sparsity=0.5, every=1)"),
        )
        found.append(gan.get_weights())
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_every_step_of_an_optimizer_counts(batches):
    gan = compiled(critic_steps=3)
    steps = []
    fit(
        gan,
        batches(4),
        [
            cb.callbacks.Reallocation(
                "set(every=6, end=1.0)",
                optimizer=gan.d_optimizer,
                on_event=lambda step, _: steps.append(step),
            ),
            cb.callbacks.Reallocation("static", optimizer=gan.g_optimizer),
        ],
    )
    assert steps == [6, 12]


def test_a_kernel_that_none_or_two_would_move_is_refused_by_name(batches):
    gan = compiled()
    first, second = both(gan)
    generator = masked_kernels(gan.generator)[0].name
    with pytest.raises(InputError, match=f"{generator}.*no `Reallocation`"):
        fit(gan, batches(2), [first])
    with pytest.raises(InputError, match="moved by 3 `Reallocation`"):
        fit(gan, batches(2), [first, second, both(gan)[0]])


def test_an_optimizer_that_makes_no_step_is_refused(
    batches, build_model, compile_model
):
    gan = compiled()
    with pytest.raises(InputError, match="`d_optimizer` or `g_optimizer`"):
        fit(gan, batches(2), [cb.callbacks.Reallocation("set")])
    model = compile_model(build_model())
    other = cb.callbacks.Reallocation("set", optimizer=keras.optimizers.SGD())
    with pytest.raises(InputError, match="training step of Functional"):
        fit(model, batches(2), [other])


def test_a_step_that_cannot_be_traced_needs_built_optimizers(batches):
    gan = compiled(run_eagerly=True)
    with pytest.raises(InputError, match="must be built before `fit`"):
        fit(gan, batches(2), both(gan))
    gan.d_optimizer.build(gan.discriminator.trainable_variables)
    gan.g_optimizer.build(gan.generator.trainable_variables)
    before = masks(gan)
    fit(gan, batches(4), both(gan))
    assert all((a != b).any() for a, b in zip(before, masks(gan), strict=True))


def test_a_step_whose_trace_fails_is_said(batches):
    class Late(keras.Model):
        """Trains with something that a later callback gives it."""

        scale = None

        def train_step(self, data):
            x, y = data
            return super().train_step((x * self.scale, y))

    class Give(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.scale = 2.0

    inputs = keras.Input((6,))
    model = cb.sparsify(Late(inputs, keras.layers.Dense(3)(inputs)), 0.5)
    model.compile("sgd", "sparse_categorical_crossentropy")
    events = []
    callback = cb.callbacks.Reallocation(
        "set(every=1, end=1.0)", on_event=lambda step, _: events.append(step)
    )
    with pytest.warns(UserWarning, match="step of Late cannot be traced"):
        fit(model, batches(3), [callback, Give()])
    assert events == [1, 2, 3]


def test_a_probe_needs_a_loss_that_can_be_called(batches):
    gan = compiled()
    callbacks = both(gan, "rigl(every=2)", dataset=batches(4))
    with pytest.raises(InputError, match="gradients='running'"):
        fit(gan, batches(4), callbacks)
