"""The callback follows the optimizer and is the only writer of masks."""

import dataclasses
from typing import ClassVar

import keras
import numpy as np
import pytest

import cb
from cb import seeds
from cb.callbacks.slots import slots
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.schedules import PeriodicSchedule
from cb.sparsity import masks as mask_verbs
from cb.sparsity.reallocation.base import Algorithm


@dataclasses.dataclass(frozen=True)
class Recorder(Algorithm):
    """Keeps the masks and remembers its events in a list."""

    every: int = 3
    end: int = 10**9
    seen: list = dataclasses.field(default_factory=list)

    def period(self, training_length):
        self.seen.append(training_length)
        return PeriodicSchedule(self.every, 0, self.end)

    def update(self, layers, state, *, event, seed):
        self.seen.append((event.step, seed))
        return {key: layer.mask for key, layer in layers.items()}, state


@dataclasses.dataclass(frozen=True)
class Shuffler(Algorithm):
    """Draws every mask anew, from its seed."""

    def period(self, training_length):
        return PeriodicSchedule(2, 0, 10**9)

    def init(self, layers):
        return {"events": np.zeros((), np.int64)}

    def update(self, layers, state, *, event, seed):
        new = {
            key: mask_verbs.choose(
                np.ones(layer.mask.shape, bool),
                mask_verbs.count(layer.mask),
                seeds.generator(seed, key),
            )
            for key, layer in layers.items()
        }
        return new, {"events": state["events"] + 1}


def fit(model, data, algorithm, epochs=1, **kwargs):
    initial_epoch = kwargs.pop("initial_epoch", 0)
    callback = cb.callbacks.Reallocation(algorithm, **kwargs)
    model.fit(
        data,
        epochs=epochs,
        callbacks=[callback],
        verbose=0,
        shuffle=False,
        initial_epoch=initial_epoch,
    )
    return callback


def steps(recorder):
    return [entry[0] for entry in recorder.seen if isinstance(entry, tuple)]


def bits(model):
    values = [read(v) for v in [*model.variables, *model.optimizer.variables]]
    return [value.tobytes() for value in values]


def sgd():
    return keras.optimizers.SGD(0.1, momentum=0.9)


def test_events_are_at_the_multiples_of_the_steps(
    build_model, batches, compile_model
):
    recorder = Recorder()
    fit(compile_model(build_model()), batches(8), recorder, epochs=2)
    assert steps(recorder) == [3, 6, 9, 12, 15]


@pytest.mark.parametrize("every", [1, 2, 3, 5])
@pytest.mark.parametrize("accumulation", [None, 2])
def test_an_event_comes_right_after_its_step(
    every, accumulation, build_model, batches, compile_model
):
    optimizer = keras.optimizers.SGD(
        0.1, gradient_accumulation_steps=accumulation
    )
    model = compile_model(build_model(), optimizer)
    told = []
    fit(
        model,
        batches(9),
        Recorder(every=every),
        epochs=2,
        on_event=lambda step, _: told.append(
            (step, int(read(optimizer.iterations)))
        ),
    )
    total = 18 // (accumulation or 1)
    due = range(every, total + 1, every)
    assert told == [(step, step) for step in due]


def test_steps_per_execution_crosses_multiples_once(
    build_model, batches, compile_model
):
    recorder = Recorder()
    model = compile_model(build_model(), steps_per_execution=4)
    fit(model, batches(8), recorder, epochs=2)
    # After four steps 3 was crossed, after eight 6, after twelve 9 and 12.
    assert steps(recorder) == [3, 6, 12, 15]


def test_accumulation_counts_optimizer_steps(
    build_model, batches, compile_model
):
    recorder = Recorder(every=2)
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=3)
    fit(compile_model(build_model(), optimizer), batches(8), recorder, epochs=3)
    # 24 batches are 8 optimizer steps.
    assert steps(recorder) == [2, 4, 6, 8]
    assert recorder.seen[0].total_steps == 8
    assert recorder.seen[0].steps_per_epoch == pytest.approx(8 / 3)


def test_loss_scaling_counts_optimizer_steps(
    build_model, batches, compile_model
):
    recorder = Recorder()
    optimizer = keras.optimizers.LossScaleOptimizer(sgd())
    fit(compile_model(build_model(), optimizer), batches(8), recorder)
    assert steps(recorder) == [3, 6]
    assert recorder.seen[0].total_steps == 8


def test_a_second_fit_goes_on_counting(build_model, batches, compile_model):
    recorder = Recorder(every=5)
    model = compile_model(build_model())
    fit(model, batches(8), recorder)
    fit(model, batches(8), recorder, epochs=3, initial_epoch=1)
    assert steps(recorder) == [5, 10, 15, 20]
    assert [h.total_steps for h in recorder.seen if hasattr(h, "epoch")] == [
        8,
        24,
    ]


def test_an_event_due_at_the_end_comes_before_validation(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            seen.append(read(masked_kernels(model)[0].mask))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(read(masked_kernels(model)[0].mask))

    before = read(masked_kernels(model)[0].mask)
    model.fit(
        batches(4),
        callbacks=[cb.callbacks.Reallocation(Shuffler()), Watch()],
        validation_data=batches(2),
        shuffle=False,
        verbose=0,
    )
    np.testing.assert_array_equal(seen[0], seen[1])
    assert (seen[0] != before).any()


def test_on_event_is_told_what_changed(build_model, batches, compile_model):
    told = []
    fit(
        compile_model(build_model()),
        batches(4),
        Shuffler(),
        on_event=lambda step, changes: told.append((step, changes)),
    )
    assert [step for step, _ in told] == [2, 4]
    for first, second in zip(told[0][1], told[1][1], strict=True):
        np.testing.assert_array_equal(first.after, second.before)
        assert first.before.sum() == first.after.sum()


def test_dropped_and_grown_weights_and_slots_are_zero(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    checked = []

    def check(step, changes):
        for change in changes:
            fresh = ~change.before | ~change.after
            weights = [change.kernel.weight]
            ((slot,),) = slots(model.optimizer, weights)
            for variable in (change.kernel.weight, slot.variable):
                values = read(variable)[fresh]
                assert np.all(values == 0.0)
                assert not np.signbit(values).any()
            kept = change.before & change.after
            checked.append(np.abs(read(change.kernel.weight)[kept]).max())

    fit(model, batches(8), Shuffler(), on_event=check)
    assert len(checked) == 8
    assert min(checked) > 0.0


@dataclasses.dataclass(frozen=True)
class Sevens(Shuffler):
    """Lets what grows start at seven; says nothing sensible of the rest."""

    def values(self, layers, masks, state, *, seed):
        return {
            key: np.where(masks[key] & layer.mask, layer.weights, 7.0)
            for key, layer in layers.items()
        }


def test_grown_weights_start_with_the_values_of_the_algorithm(
    strategy, build_model, batches, compile_model
):
    with strategy.scope():
        model = compile_model(build_model(), sgd())
    checked = []

    def check(step, changes):
        for change in changes:
            weights = read(change.kernel.weight)
            grown = change.after & ~change.before
            assert np.all(weights[grown] == 7.0)
            assert not weights[~change.after].any()
            checked.append(weights[change.before & change.after])

    fit(model, batches(4), Sevens(), on_event=check)
    assert len(checked) == 4
    assert np.abs(np.concatenate(checked)).max() > 0.0


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]
)
def test_low_precision_keeps_counts_and_zeros(
    dtype, build_model, batches, compile_model
):
    model = compile_model(build_model(dtype=dtype), sgd())
    before = [read(k.mask).astype(bool).sum() for k in masked_kernels(model)]
    fit(model, batches(8), "rigl(every=2, end=1.0)", dataset=batches(8))
    for kernel, number in zip(masked_kernels(model), before, strict=True):
        mask = read(kernel.mask).astype(np.float32) != 0
        assert mask.sum() == number
        assert not read(kernel.weight).astype(np.float32)[~mask].any()


def test_the_same_seed_gives_the_same_masks_and_another_others(
    build_model, batches, compile_model
):
    results = []
    for seed in (1, 1, 2):
        model = compile_model(build_model())
        fit(model, batches(6), "set(every=2)", seed=seed)
        results.append(bits(model))
    assert results[0] == results[1]
    assert results[0] != results[2]


def test_sparsity_zero_trains_as_the_dense_model(
    build_model, batches, compile_model
):
    sparse = compile_model(build_model(sparsity=0.0), sgd())
    dense = compile_model(cb.strip(build_model(sparsity=0.0)), sgd())
    fit(sparse, batches(6), "rigl(every=2)", dataset=batches(6))
    dense.fit(batches(6), verbose=0, shuffle=False)
    kernels = [k.weight for k in masked_kernels(sparse)]
    plain = [layer.kernel for layer in dense.layers if layer.weights]
    for one, two in zip(kernels, plain, strict=True):
        np.testing.assert_allclose(read(one), read(two), rtol=1e-5, atol=1e-6)


def test_a_layer_of_one_weight_and_a_full_layer(batches, compile_model):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(1)(inputs)
    x = keras.layers.Dense(1)(x)
    outputs = keras.layers.Dense(3)(x)
    model = cb.sparsify(keras.Model(inputs, outputs), 0.2)
    compile_model(model, sgd())
    before = [int(read(k.mask).sum()) for k in masked_kernels(model)]
    assert before[1] == 1
    fit(
        model,
        batches(6),
        "rigl(every=2, drop_fraction=1.0)",
        dataset=batches(6),
    )
    after = [int(read(k.mask).sum()) for k in masked_kernels(model)]
    assert before == after


@dataclasses.dataclass(frozen=True)
class Everywhere(Recorder):
    """Acts after every step."""

    every_step: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("algorithm", "compiled", "message"),
    [
        ("rigl", {}, "needs gradients"),
        (Everywhere(), {"steps_per_execution": 2}, "after every step"),
    ],
)
def test_misuse_is_refused(
    algorithm, compiled, message, build_model, batches, compile_model
):
    model = compile_model(build_model(), keras.optimizers.SGD(), **compiled)
    with pytest.raises(ValueError, match=message):
        fit(model, batches(), algorithm)


def test_a_dense_model_is_refused(build_model, batches, compile_model):
    model = compile_model(cb.strip(build_model()))
    with pytest.raises(ValueError, match="has no masked layers"):
        fit(model, batches(), "set")
