"""Training on CSR kernels is training with masks, but for rounding."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.callbacks.reallocation.csr_writer import move_connections
from cb.callbacks.reallocation.probe import ProbeGradients
from cb.callbacks.reallocation.probe_batches import Batches
from cb.callbacks.slots import Slot
from cb.callbacks.slots import slots
from cb.callbacks.training_state import model_variables
from cb.callbacks.training_state import read_all
from cb.callbacks.training_state import read_state
from cb.callbacks.training_state import write_all
from cb.callbacks.training_state import write_state
from cb.distribute.variables import read
from cb.distribute.variables import read_replicas
from cb.errors import InputError
from cb.layers.masked import masked_kernels
from cb.layers.sparse_dense import SparseConv2D
from cb.layers.sparse_dense import SparseDense
from cb.layers.sparse_kernel import SparseKernel
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import WeightPenalty
from tests.callbacks.reallocation.foreign_writes_test import GoBack

INPUTS, CLASSES = 24, 5
ALGORITHMS = {
    "static": "static",
    "set": "set(every=5, end=1.0)",
    "redrawn": "set(every=7, end=1.0, grown='redrawn')",
    "rigl": "rigl(every=6, end=1.0)",
    "closed": "rigl(every=6, end=1.0, regrow_dropped=False)",
    "random": "random",
    "snip": "snip(scope='layer')",
    "grasp": "grasp(scope='layer')",
    "deep_rewiring": "deep_rewiring(eta=0.01, temperature=0.01)",
}
EVERY = {"set": 5, "redrawn": 7, "rigl": 6, "closed": 6, "deep_rewiring": 1}
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(
        0.01, weight_decay=0.1, use_ema=True, clipnorm=1.0
    ),
    "accumulated": lambda: keras.optimizers.SGD(
        0.1, momentum=0.9, gradient_accumulation_steps=2
    ),
    "adagrad": lambda: keras.optimizers.Adagrad(0.05),
}


def build_masked(seed=0, **kwargs):
    def drawn(number):
        return {
            "kernel_initializer": keras.initializers.GlorotUniform(seed=number),
            **kwargs,
        }

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((INPUTS,)),
            layers.Dense(40, "tanh", **drawn(seed)),
            layers.Reshape((5, 2, 4)),
            layers.Conv2D(
                16, 3, padding="same", activation="tanh", **drawn(seed + 1)
            ),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES, **drawn(seed + 2)),
        ]
    )
    return cb.sparsify(model, 0.85, "uniform", seed=seed)


def build(kernels, optimizer="sgd", seed=0, **kwargs):
    """Return a compiled model; on CSR kernels its last layer is masked."""
    model = build_masked(seed, **kwargs)
    if kernels == "csr":
        model = cb.to_csr(model, max_density=1.0, min_size=500)
    model.compile(
        OPTIMIZERS[optimizer](),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def batches(number, size=12, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(number * size, INPUTS)).astype("float32")
    y = random.integers(CLASSES, size=number * size)
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(size)


def mover(name, **kwargs):
    probe = batches(4, seed=9)
    return cb.callbacks.Reallocation(ALGORITHMS[name], probe, **kwargs)


def fit(model, callback, first=0, last=4):
    model.fit(
        batches(10),
        initial_epoch=first,
        epochs=last,
        callbacks=[callback],
        verbose=0,
        shuffle=False,
    )


def trained(kernels, optimizer, name, strategy):
    """Return a model after 40 steps and the masks after every event."""
    events = []

    def on_event(step, changes):
        events.append((step, [change.after for change in changes]))

    with strategy.scope():
        model = build(kernels, optimizer)
    fit(model, mover(name, on_event=on_event))
    return model, events


def assert_equal_events(one, two):
    assert [step for step, _ in one] == [step for step, _ in two]
    for (_, masks), (_, others) in zip(one, two, strict=True):
        for mask, other in zip(masks, others, strict=True):
            np.testing.assert_array_equal(mask, other)


CASES = [
    ("static", "sgd"),
    ("set", "sgd"),
    ("set", "adam"),
    ("rigl", "sgd"),
    ("rigl", "adamw"),
    ("redrawn", "adagrad"),
    ("closed", "adam"),
    ("rigl", "accumulated"),
    ("deep_rewiring", "sgd"),
    ("random", "adam"),
    ("snip", "sgd"),
    ("grasp", "sgd"),
]


@pytest.mark.parametrize("name, optimizer", CASES)
def test_masks_are_those_of_masked_training_and_weights_nearly(name, optimizer):
    strategy = tf.distribute.get_strategy()
    masked, events = trained("masked", optimizer, name, strategy)
    sparse, others = trained("csr", optimizer, name, strategy)
    assert_equal_events(events, others)
    updates = 20 if optimizer == "accumulated" else 40
    every = EVERY.get(name, updates + 1)
    assert [step for step, _ in events] == [*range(every, updates + 1, every)]
    compare(masked, sparse)


def test_weights_of_an_earlier_epoch_are_taken_as_in_masked_layers():
    models = [build(kernels, "adam") for kernels in ("masked", "csr")]
    for model in models:
        callbacks = [mover("set"), GoBack()]
        model.fit(
            batches(10), epochs=3, callbacks=callbacks, verbose=0, shuffle=False
        )
    compare(*models)


def test_two_replicas_do_the_same(two_replicas):
    masked, events = trained("masked", "adam", "rigl", two_replicas)
    sparse, others = trained("csr", "adam", "rigl", two_replicas)
    assert_equal_events(events, others)
    compare(masked, sparse)
    for values in read_replicas([*sparse.variables]):
        assert len(values) == 1


def compare(masked, sparse):
    """Compare weights and slots, where connections are active."""
    kernels = masked_kernels(masked), masked_kernels(sparse)
    assert isinstance(kernels[1][0].layer, SparseDense)
    assert isinstance(kernels[1][1].layer, SparseConv2D)
    found = [
        slots(model.optimizer, [kernel.trained for kernel in those])
        for model, those in zip((masked, sparse), kernels, strict=True)
    ]
    for one, two, mine, theirs in zip(*kernels, *found, strict=True):
        mask = read(one.mask) != 0
        np.testing.assert_array_equal(read(two.mask) != 0, mask)
        assert_near(read(two.weight), read(one.weight))
        for slot, other in zip(mine, theirs, strict=True):
            value = read(other.variable)
            if isinstance(two.layer, SparseKernel):
                value = read(two.layer.spread(value))
                value[~mask] = read(slot.variable)[~mask]
            assert_near(value, read(slot.variable))


def assert_near(one, two):
    np.testing.assert_allclose(one, two, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("name, optimizer", [("set", "adam"), ("rigl", "sgd")])
def test_a_resumed_training_has_the_same_bits(name, optimizer):
    whole, never_stopped = build("csr", optimizer), mover(name)
    fit(whole, never_stopped)
    first, stopped = build("csr", optimizer), mover(name, total_steps=40)
    fit(first, stopped, last=2)
    arrays = read_state(first, {"mover": stopped}, inside_epoch=False)
    second, resumed = build("csr", optimizer, seed=5), mover(name)
    second.optimizer.build(second.trainable_variables)
    write_state(second, {"mover": resumed}, arrays)
    fit(second, resumed, first=2)
    for model, callback in ((whole, never_stopped), (second, resumed)):
        model.state = read_state(model, {"mover": callback}, False)
    assert list(whole.state) == list(second.state)
    for key, value in whole.state.items():
        assert value.tobytes() == second.state[key].tobytes(), key


def test_a_checkpoint_fits_the_masked_form():
    sparse, _ = trained("csr", "sgd", "set", tf.distribute.get_strategy())
    masked = build_masked(seed=3)
    write_all(model_variables(masked), read_all(model_variables(sparse)))
    x = next(iter(batches(1)))[0]
    np.testing.assert_allclose(masked(x), sparse(x), rtol=1e-4, atol=1e-5)
    for one, two in zip(
        masked_kernels(masked), masked_kernels(sparse), strict=True
    ):
        np.testing.assert_array_equal(read(one.mask), read(two.mask))
        np.testing.assert_array_equal(read(one.weight), read(two.weight))


def test_a_rewritten_layer_keeps_what_stays():
    random = np.random.default_rng(0)
    before, after = (
        (random.permutation(60) < 20).reshape(10, 6) for _ in range(2)
    )
    kernel, moments = random.normal(size=(2, 10, 6)).astype("float32")
    layer = SparseDense(6, 20)
    layer.build((None, 10))
    layer.fill(kernel, before)
    slot = keras.Variable(moments.T[before.T])
    copy = keras.Variable(layer.values)
    move_connections(layer, [Slot(slot, 0.5), Slot(copy, None)], after)
    expected = np.where(before & after, kernel, 0.0)
    np.testing.assert_array_equal(read(layer.mask) != 0, after)
    np.testing.assert_array_equal(read(layer.kernel), expected)
    np.testing.assert_array_equal(
        read(slot), np.where(before, moments, 0.5).T[after.T]
    )
    np.testing.assert_array_equal(read(copy), read(layer.values))


def test_probe_gradients_are_those_of_masked_layers(two_replicas):
    penalty = {"kernel_regularizer": keras.regularizers.L2(0.1)}
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        found = []
        for kernels in ("masked", "csr"):
            with strategy.scope():
                model = build(kernels, **penalty)
            probe = ProbeGradients(
                model, masked_kernels(model), Batches(batches(1))
            )
            before = [read(variable) for variable in model.variables]
            found.append(probe(0))
            for variable, value in zip(model.variables, before, strict=True):
                np.testing.assert_array_equal(read(variable), value)
        for one, two in zip(*found, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_gradients_of_values_are_those_of_the_kernel_where_it_is_active():
    model = build("csr")
    kernels = masked_kernels(model)
    whole, own = (
        ProbeGradients(model, kernels, Batches(batches(1)), whole=whole)(0)
        for whole in (True, False)
    )
    for kernel, one, two in zip(kernels, whole, own, strict=True):
        expected = one
        if isinstance(kernel.layer, SparseKernel):
            # Values are kept output by output.
            by_output = kernel.layer.by_output
            expected = by_output(one)[by_output(read(kernel.mask)) != 0]
        np.testing.assert_allclose(two, expected, rtol=1e-4, atol=1e-6)


UNABLE = [
    *sorted(set(reallocation.names()) - {*ALGORITHMS}),
    "deep_rewiring(noise='gradients')",
    "snip",
    "grasp",
    "random(scope='global')",
    "rigl(gradients='running')",
    "set(reset_momentum=False)",
]


@pytest.mark.parametrize("spec", UNABLE)
def test_other_algorithms_are_refused_in_one_line(spec):
    model = build("csr")
    callback = cb.callbacks.Reallocation(spec, batches(1))
    with pytest.raises(InputError, match="CSR kernels cannot") as raised:
        fit(model, callback)
    assert "\n" not in str(raised.value)


@dataclasses.dataclass(frozen=True)
class Penalized(type(reallocation.build("set"))):
    """A rule of a user's own that adds to the loss."""

    def penalties(self, layers):
        return dict.fromkeys(layers, WeightPenalty(0.1, 0.2))


def test_penalties_are_those_of_masked_training():
    models = []
    for kernels in ("masked", "csr"):
        models.append(build(kernels))
        rule = Penalized(every=5, end=1.0)
        fit(models[-1], cb.callbacks.Reallocation(rule, batches(4, seed=9)))
    compare(*models)


def test_initial_weights_are_needed_to_choose_first_connections():
    model = build("csr")
    fit(model, mover("static"), last=1)
    with pytest.raises(InputError, match="needs all initial weights"):
        fit(model, mover("snip"), last=1)
    model = build("csr")
    layer = masked_kernels(model)[0].layer
    layer.values.assign(read(layer.values) * 2)
    with pytest.raises(InputError, match="needs all initial weights"):
        fit(model, mover("snip"), last=1)


def test_keras_says_that_it_trains_without_xla():
    model = build("csr")
    with pytest.warns(UserWarning, match="Proceeding with `jit_compile=False`"):
        model.compile("sgd", "mse", jit_compile=True)


def test_weight_distances_are_those_of_masked_training():
    found = []
    for kernels in ("masked", "csr"):
        model, distance = build(kernels), cb.callbacks.WeightDistance()
        model.fit(
            batches(10),
            callbacks=[mover("set"), distance],
            verbose=0,
            shuffle=False,
        )
        found.append(distance.distances["total"])
    np.testing.assert_allclose(*found, rtol=1e-3)


def test_connections_that_were_written_unseen_are_taken_up():
    model = build("csr")
    fit(model, mover("set"), last=1)
    layer = masked_kernels(model)[0].layer
    indices = read(layer.indices).copy()
    # The first input of the first output moves to the first place that it has
    # not, past the watch of assignments.
    taken = indices[: read(layer.indptr)[1]]
    indices[0] = min(set(range(INPUTS)) - set(taken.tolist()))
    order = np.argsort(indices[: len(taken)])
    indices[: len(taken)] = indices[: len(taken)][order]

    class Write(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            layer.indices.value.assign(indices)

    callback = mover("static")
    model.fit(
        batches(10), callbacks=[Write(), callback], verbose=0, shuffle=False
    )
    mask = read(layer.mask) != 0
    np.testing.assert_array_equal(
        callback._kernels.masks[masked_kernels(model)[0].key], mask
    )
