"""Every Keras optimizer keeps inactive weights and slots at zero."""

import keras
import numpy as np
import pytest

import cb
from cb.callbacks.slots import inner
from cb.callbacks.slots import last_learning_rate
from cb.callbacks.slots import momentum
from cb.callbacks.slots import slots
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.optimization.lookahead import Lookahead
from cb.optimization.published_sgd import PublishedSGD
from cb.optimization.schedules import DelayedSchedule
from cb.optimization.schedules import PerUpdateSchedule
from cb.optimization.sequence import OptimizerSequence

SGD = keras.optimizers.SGD
OPTIMIZERS = {
    "sgd": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.1, momentum=0.9),
    "nesterov": lambda: SGD(0.1, momentum=0.9, nesterov=True),
    "decay": lambda: SGD(0.1, momentum=0.9, weight_decay=0.1),
    "average": lambda: SGD(0.1, momentum=0.9, use_ema=True),
    "clipped": lambda: SGD(0.1, momentum=0.9, global_clipnorm=0.1),
    "accumulated": lambda: SGD(
        0.1, momentum=0.9, gradient_accumulation_steps=2
    ),
    "adam": lambda: keras.optimizers.Adam(0.1),
    "amsgrad": lambda: keras.optimizers.Adam(0.1, amsgrad=True, use_ema=True),
    "adamw": lambda: keras.optimizers.AdamW(0.1, weight_decay=0.1),
    "adamax": lambda: keras.optimizers.Adamax(0.1),
    "nadam": lambda: keras.optimizers.Nadam(0.1),
    "lion": lambda: keras.optimizers.Lion(0.1),
    "lamb": lambda: keras.optimizers.Lamb(0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(
        0.1, momentum=0.9, centered=True
    ),
    "adadelta": lambda: keras.optimizers.Adadelta(0.1),
    "adagrad": lambda: keras.optimizers.Adagrad(0.1),
    "ftrl": lambda: keras.optimizers.Ftrl(0.1),
    "schedule_free": lambda: keras.optimizers.ScheduleFreeAdamW(0.1),
    "published": lambda: PublishedSGD(0.1),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(
        SGD(0.1, momentum=0.9, clipnorm=0.1), initial_scale=8.0
    ),
}


def fit(model, batches, callback, epochs=1):
    model.fit(
        batches, epochs=epochs, callbacks=[callback], verbose=0, shuffle=False
    )


def initial_slot(name, attribute):
    accumulators = name in ("adagrad", "ftrl") and "accumulator" in attribute
    return 0.1 if accumulators else 0.0


def test_every_keras_optimizer_is_tried_or_refused():
    known = {
        name
        for name in dir(keras.optimizers)
        if isinstance(kind := getattr(keras.optimizers, name), type)
        and issubclass(kind, keras.optimizers.Optimizer)
    }
    tried = {type(make()).__name__ for make in OPTIMIZERS.values()}
    # A base class, a dispatcher to several others, and the two refused.
    other = {"Optimizer", "MultiOptimizer", "Adafactor", "Muon"}
    assert known - tried <= other


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_inactive_weights_and_slots_stay_at_their_start(
    name, build_model, batches, compile_model
):
    model = compile_model(build_model(), OPTIMIZERS[name]())
    # Sixteen steps, an event after every third.
    fit(
        model,
        batches(16),
        cb.callbacks.Reallocation(
            "set(every=3, end=1.0, decay='constant', drop_fraction=0.5)"
        ),
    )
    kernels = masked_kernels(model)
    found = slots(model.optimizer, [kernel.weight for kernel in kernels])
    for kernel, kernel_slots in zip(kernels, found, strict=True):
        inactive = read(kernel.mask) == 0
        assert inactive.any()
        weights = read(kernel.weight)
        assert np.all(weights[inactive] == 0.0)
        assert np.abs(weights[~inactive]).max() > 0.0
        for slot in kernel_slots:
            values = read(slot.variable)[inactive]
            expected = initial_slot(name, slot.variable.path)
            np.testing.assert_array_equal(
                values, np.full_like(values, expected), slot.variable.path
            )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_variable_of_the_size_of_a_kernel_is_a_slot(
    name, build_model, compile_model
):
    model = compile_model(build_model(), OPTIMIZERS[name]())
    model.optimizer.build(model.trainable_variables)
    kernels = masked_kernels(model)
    weights = [kernel.weight for kernel in kernels]
    for weight, found in zip(
        weights, slots(model.optimizer, weights), strict=True
    ):
        expected = {
            variable.path
            for variable in inner(model.optimizer).variables
            if tuple(variable.shape) == tuple(weight.shape)
        }
        assert {slot.variable.path for slot in found} == expected


def test_slots_are_found_where_two_kernels_have_one_shape_and_name():
    inputs = keras.Input((4,))
    first = keras.Sequential([keras.layers.Dense(4, name="same")])
    second = keras.Sequential([keras.layers.Dense(4, name="same")])
    model = cb.sparsify(keras.Model(inputs, second(first(inputs))), 0.5)
    optimizer = SGD(momentum=0.9)
    optimizer.build(model.trainable_variables)
    weights = [kernel.weight for kernel in masked_kernels(model)]
    found = [slot.variable for (slot,) in slots(optimizer, weights)]
    assert found[0] is not found[1]
    optimizer.apply(
        [
            np.full(variable.shape, number + 1.0, "float32")
            for number, variable in enumerate(model.trainable_variables)
        ]
    )
    positions = [id(variable) for variable in model.trainable_variables]
    for weight, slot in zip(weights, found, strict=True):
        number = positions.index(id(weight)) + 1
        np.testing.assert_allclose(read(slot), -0.01 * number, rtol=1e-6)


@pytest.mark.parametrize("name", ["Muon", "Adafactor"])
def test_optimizers_that_mix_weights_are_refused_by_name(
    name, build_model, batches, compile_model
):
    optimizer = getattr(keras.optimizers, name)(0.1)
    model = compile_model(build_model(), optimizer)
    with pytest.raises(ValueError, match=f"Optimizer {name} cannot train"):
        fit(model, batches(), cb.callbacks.Reallocation("set"))


def test_an_optimizer_with_shared_state_is_refused_by_name(build_model):
    class Shared(SGD):
        def build(self, variables):
            super().build(variables)
            self.shared = self.add_variable((7,), name="shared")

    model = build_model()
    optimizer = Shared()
    optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="Optimizer Shared .*shared"):
        slots(optimizer, [masked_kernels(model)[0].weight])


@pytest.mark.parametrize(
    "name",
    ["momentum", "nesterov", "adam", "adamax", "lion", "decay", "published"],
)
def test_momentum_ranks_as_the_smoothed_gradient(
    name, build_model, compile_model
):
    model = compile_model(build_model(), OPTIMIZERS[name]())
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    weights = [kernel.weight for kernel in masked_kernels(model)]
    random = np.random.default_rng(0)
    smooth, square = 0.0, 0.0
    decay, second = (0.9, 0.99) if name == "lion" else (0.9, 0.999)
    for _ in range(3):
        gradients = [
            random.normal(size=variable.shape).astype("float32")
            for variable in model.trainable_variables
        ]
        inner(optimizer).apply(gradients)
        smooth = second * smooth if name == "lion" else decay * smooth
        smooth = smooth + gradients[0]
        square = second * square + gradients[0] ** 2
    if name == "adam":
        smooth = smooth / np.sqrt(square)
    read_momentum = momentum(optimizer, weights)
    actual = np.abs(read_momentum()[0]).ravel()
    np.testing.assert_array_equal(
        np.argsort(actual), np.argsort(np.abs(smooth).ravel())
    )


@pytest.mark.parametrize("name", ["sgd", "adagrad", "schedule_free"])
def test_an_optimizer_without_momentum_is_refused_by_name(
    name, build_model, compile_model
):
    model = compile_model(build_model(), OPTIMIZERS[name]())
    model.optimizer.build(model.trainable_variables)
    kind = type(model.optimizer).__name__
    with pytest.raises(ValueError, match=f"Optimizer {kind} keeps no momentum"):
        momentum(model.optimizer, [masked_kernels(model)[0].weight])


def test_the_momentum_is_that_of_the_optimizer_whose_turn_it_is():
    weight = keras.Variable(np.ones(2, "float32"))
    optimizer = OptimizerSequence(
        [SGD(0.5, momentum=0.9), OPTIMIZERS["adam"]()], [0, 2]
    )
    optimizer.build([weight])
    read_momentum = momentum(optimizer, [weight])
    gradient = np.array([1.0, -2.0], "float32")
    for _ in range(2):
        optimizer.take_over()
        optimizer.apply([gradient])
    # Keras puts the learning rate into the velocity: v = 0.9 v - 0.5 g.
    np.testing.assert_allclose(read_momentum()[0], -0.95 * gradient)
    optimizer.take_over()
    np.testing.assert_array_equal(read_momentum()[0], [0.0, 0.0])
    optimizer.apply([gradient])
    # 0.1 g / sqrt(0.001 g g)
    expected = np.sign(gradient) * 0.1 / np.sqrt(0.001)
    np.testing.assert_allclose(read_momentum()[0], expected, rtol=1e-5)


def test_a_copy_of_the_weights_starts_at_the_grown_weight(
    build_model, batches, compile_model
):
    optimizer = OPTIMIZERS["schedule_free"]()
    model = compile_model(build_model(), optimizer)
    callback = cb.callbacks.Reallocation(
        "set(every=4, end=1.0, grown='redrawn', decay='constant')"
    )
    checked = []

    def check(step, changes):
        for change in changes:
            grown = change.after & ~change.before
            index = optimizer._get_variable_index(change.kernel.weight)
            copy = read(optimizer._momentums[index])[grown]
            np.testing.assert_array_equal(
                copy, read(change.kernel.weight)[grown]
            )
            checked.append(np.abs(copy).min())

    callback.on_event = check
    fit(model, batches(4), callback)
    assert min(checked) > 0.0


def rates(**settings):
    """Return a rate that changes at every update."""
    if batches := settings.get("gradient_accumulation_steps"):
        return PerUpdateSchedule(rates(), batches)
    return keras.optimizers.schedules.PolynomialDecay(0.5, 8, 0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SGD(0.25),
        lambda: SGD(rates()),
        lambda: PublishedSGD(rates(), momentum=0.0),
        lambda: Lookahead(SGD(rates()), sync_period=100),
        lambda: keras.optimizers.LossScaleOptimizer(SGD(rates())),
        lambda: SGD(
            rates(gradient_accumulation_steps=3), gradient_accumulation_steps=3
        ),
        lambda: OptimizerSequence(
            [SGD(rates()), SGD(DelayedSchedule(rates(), 2))], [0, 2]
        ),
    ],
)
def test_the_last_learning_rate_is_what_moved_the_weights(make):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    # The gradient is always one.
    model.compile(make(), lambda _, y: y)
    steps, moves = [], []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.before = float(self.model.weights[1].numpy()[0])

        def on_train_batch_end(self, batch, logs=None):
            after = float(self.model.weights[1].numpy()[0])
            if after != self.before:
                moves.append(self.before - after)
                self.before = after
            if moves:
                steps.append(last_learning_rate(self.model))
                assert steps[-1] == pytest.approx(moves[-1], rel=1e-4)

        def on_epoch_begin(self, epoch, logs=None):
            optimizer = self.model.optimizer
            if isinstance(optimizer, OptimizerSequence):
                optimizer.take_over()
                self.model.make_train_function(force=True)

    ones = np.ones((8, 1), np.float32)
    model.fit(ones[:2], ones[:2], 1, 4, verbose=0, callbacks=[Watch()])
    assert len(moves) >= 2
