"""Masks, zeros, slots and state agree again, whoever wrote the masks."""

import keras
import numpy as np
import pytest

import cb
from cb.callbacks.slots import slots
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import masked_kernels
from cb.sparsity import reallocation
from tests.callbacks.reallocation.contract_test import bits
from tests.callbacks.reallocation.contract_test import callback_for
from tests.callbacks.reallocation.contract_test import sgd

# These trainings are shorter than what is asked of the algorithms.
pytestmark = pytest.mark.filterwarnings("ignore::cb.errors.NotReached")


class Kill(keras.callbacks.Callback):
    """Ends a training at the start of its third epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


class GoBack(keras.callbacks.Callback):
    """Returns to the weights of the first epoch, after the second."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            self.best = self.model.get_weights()
        if epoch == 1:
            self.model.set_weights(self.best)


class Call(keras.callbacks.Callback):
    """Calls a function with the model before every batch."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def on_train_batch_begin(self, batch, logs=None):
        self.function(self.model)


def fit(model, data, callbacks, epochs=4):
    model.fit(
        data, epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks
    )


def check(model, algorithm, start):
    """Check what holds before every step and at the end of a training."""
    kernels = masked_kernels(model)
    counts = [np.count_nonzero(read(kernel.mask)) for kernel in kernels]
    if algorithm.keeps_count:
        assert sum(counts) == sum(start)
    if algorithm.keeps_layer_counts:
        assert counts == start
    found = slots(model.optimizer, [kernel.weight for kernel in kernels])
    for kernel, (slot,) in zip(kernels, found, strict=True):
        inactive = read(kernel.mask) == 0
        if algorithm.zero_inactive:
            assert not read(kernel.weight)[inactive].any()
            if not algorithm.straight_through:
                assert not read(slot.variable)[inactive].any()


@pytest.mark.parametrize("name", reallocation.names())
def test_a_backup_restores_the_same_training(
    name, build_model, batches, compile_model, tmp_path
):
    def run(*others, first=False, seed=0):
        model = compile_model(build_model(seed=seed), sgd())
        callbacks = [callback_for(name, batches), *others]
        if first:
            callbacks[:2] = callbacks[1::-1]
        try:
            fit(model, batches(5), callbacks)
        except KeyboardInterrupt:
            assert isinstance(others[-1], Kill)
        return bits([*model.variables, *model.optimizer.variables])

    whole = run()
    # In front, the backup is written before the event of the last step.
    for first in (False, True) if name in ("set", "top_kast") else (False,):
        folder = tmp_path / str(first)
        backup = keras.callbacks.BackupAndRestore(folder)
        run(backup, Kill(), first=first)
        backup = keras.callbacks.BackupAndRestore(folder)
        assert run(backup, first=first, seed=5) == whole


class Save(keras.callbacks.Callback):
    """Ends a training after two epochs, and saves the model before."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            if self.path.suffix == ".keras":
                self.model.save(self.path)
            else:
                self.model.save_weights(self.path)
            raise KeyboardInterrupt


# What has a state besides counts, and one that has none.
@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize(
    "name", ["deep_rewiring", "dynamic_sparse", "set", "top_kast"]
)
def test_what_is_loaded_before_a_training_continues_it(
    name, ending, build_model, batches, compile_model, tmp_path
):
    def run(model, *others, **kwargs):
        callbacks = [callback_for(name, batches), *others]
        model.fit(
            batches(5),
            epochs=4,
            verbose=0,
            shuffle=False,
            callbacks=callbacks,
            **kwargs,
        )
        return bits([*model.variables, *model.optimizer.variables])

    whole = run(compile_model(build_model(seed=0), sgd()))
    path = tmp_path / f"model{ending}"
    with pytest.raises(KeyboardInterrupt):
        run(compile_model(build_model(seed=0), sgd()), Save(path))
    if ending == ".keras":
        model = keras.models.load_model(path)
    else:
        model = compile_model(build_model(seed=5), sgd())
        model.optimizer.build(model.trainable_variables)
        model.load_weights(path)
    assert run(model, initial_epoch=2) == whole


def test_a_state_without_the_steps_of_its_optimizer_counts_from_new(
    build_model, batches, compile_model, tmp_path
):
    path = tmp_path / "model.weights.h5"
    model = compile_model(build_model(), sgd())
    with pytest.raises(KeyboardInterrupt):
        fit(model, batches(5), [callback_for("set", batches), Save(path)])
    # Not compiled, so that there is no optimizer to load.
    model = build_model()
    with pytest.warns(UserWarning, match="optimizer"):
        compile_model(model, sgd()).load_weights(path)
    events = []
    callback = cb.callbacks.Reallocation(
        "set(every=3, end=1.0)", on_event=lambda step, _: events.append(step)
    )
    fit(model, batches(7), [callback], epochs=1)
    assert events == [3, 6]


def test_a_loaded_state_does_not_replace_the_arguments(
    build_model, batches, compile_model, tmp_path
):
    path = tmp_path / "model.keras"
    callback = cb.callbacks.Reallocation
    first = callback("magnitude_pruning(sparsity=0.5, every=2, end=8)")
    model = compile_model(build_model(sparsity=0.0), sgd())
    fit(model, batches(5), [first], epochs=2)
    model.save(path)
    loaded = keras.models.load_model(path)
    then = "magnitude_pruning(sparsity=0.75, every=2, start=11, end=20)"
    kept = [read(kernel.mask) for kernel in masked_kernels(loaded)]
    fit(loaded, batches(5), [callback(then, total_steps=20)], epochs=2)
    for kernel, before in zip(masked_kernels(loaded), kept, strict=True):
        # It goes on from the masks of the file, and prunes more.
        mask = read(kernel.mask)
        assert mask.sum() == round(0.25 * mask.size)
        assert (mask <= before).all()


@pytest.mark.parametrize("name", reallocation.names())
def test_a_callback_begins_anew_with_another_model(
    name, build_model, batches, compile_model
):
    callback, trained = callback_for(name, batches), []
    for used in (callback, callback_for(name, batches)):
        for seed in (0, 1):
            if used is callback or seed:
                model = compile_model(build_model(seed=seed), sgd())
                fit(model, batches(5), [used], epochs=2)
        trained.append(bits([*model.variables, *model.optimizer.variables]))
    assert trained[0] == trained[1]


@pytest.mark.parametrize("name", ["deep_rewiring", "top_kast"])
def test_a_callback_sees_what_another_did_in_between(
    name, build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    kernels = masked_kernels(model)
    start = [np.count_nonzero(read(kernel.mask)) for kernel in kernels]
    first, second = callback_for(name, batches), callback_for("set", batches)
    seen = Call(lambda model: check(model, first.algorithm, start))
    for callbacks in ([first], [second], [first, seen]):
        fit(model, batches(5), callbacks, epochs=2)
    check(model, first.algorithm, start)


@pytest.mark.parametrize("name", reallocation.names())
def test_earlier_weights_bring_all_in_line(
    name, build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    kernels = masked_kernels(model)
    start = [np.count_nonzero(read(kernel.mask)) for kernel in kernels]
    callback = callback_for(name, batches)
    algorithm = callback.algorithm
    seen = Call(lambda model: check(model, algorithm, start))
    early = keras.callbacks.EarlyStopping("loss", restore_best_weights=True)
    fit(model, batches(5), [callback, GoBack(), seen, early])
    # Restored at the end: another `fit` takes them up.
    fit(model, batches(5), [callback, seen], epochs=1)
    check(model, algorithm, start)
    if name == "deep_rewiring":
        for kernel in kernels:
            np.testing.assert_array_equal(
                np.sort(callback.get_state()[f"position/{kernel.key}"]),
                np.flatnonzero(read(kernel.mask)),
            )


def test_earlier_weights_do_so_on_two_replicas(
    build_model, batches, compile_model, two_replicas
):
    with two_replicas.scope():
        model = compile_model(build_model(), sgd())
    start = [np.count_nonzero(read(k.mask)) for k in masked_kernels(model)]
    callback = callback_for("set", batches)
    fit(model, batches(5), [callback, GoBack()], epochs=3)
    check(model, callback.algorithm, start)


def test_a_foreign_mask_is_the_new_budget_and_its_zeros_are_made(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), keras.optimizers.Adam(0.01))
    kernel, _ = masked_kernels(model)
    mask = np.zeros(kernel.mask.shape, "float32")
    mask[:2] = 1.0
    done = []

    def write(model):
        if not done:
            kernel.mask.assign(mask)
            kernel.weight.assign(np.ones(mask.shape))
        done.append(1)

    callback = cb.callbacks.Reallocation("set(every=2, end=1.0)")
    # The write comes after the callback's turn: the end of the epoch sees it.
    fit(model, batches(1), [callback, Call(write)], epochs=1)
    (found,) = slots(model.optimizer, [kernel.weight])
    for variable in (kernel.weight, *(slot.variable for slot in found)):
        assert not read(variable)[mask == 0].any()
    fit(model, batches(4), [callback], epochs=1)
    assert read(kernel.mask).sum() == mask.sum()


def test_masks_that_are_averages_are_refused(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    kernel, _ = masked_kernels(model)
    half = Call(lambda model: kernel.mask.assign(0.5 * read(kernel.mask)))
    callback = cb.callbacks.Reallocation("set(every=2, end=1.0)")
    with pytest.raises(InputError, match=f"{kernel.name}.*only 0 and 1.*0.5"):
        fit(model, batches(4), [callback, half])


def test_masks_of_parts_of_blocks_are_refused(batches, compile_model):
    inputs = keras.Input((6,))
    outputs = keras.layers.Dense(3)(keras.layers.Dense(8)(inputs))
    model = cb.sparsify(
        keras.Model(inputs, outputs), 0.5, granularity="block(rows=2)"
    )
    compile_model(model, sgd())
    kernel, _ = masked_kernels(model)
    mask = np.ones(kernel.mask.shape, "float32")
    mask[0, 0] = 0.0
    write = Call(lambda model: kernel.mask.assign(mask))
    with pytest.raises(InputError, match="whole blocks of shape"):
        fit(model, batches(4), [cb.callbacks.Reallocation("static"), write])


def test_swapped_averages_do_not_disturb(build_model, batches, compile_model):
    kernels = []
    for others in ([], [keras.callbacks.SwapEMAWeights(True)]):
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)
        model = compile_model(build_model(), optimizer)
        swap = [cb.callbacks.Reallocation("set(every=2, end=1.0)"), *others]
        fit(model, batches(5), swap, epochs=2)
        kernels.append([read(kernel.mask) for kernel in masked_kernels(model)])
    for one, two in zip(*kernels, strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(InputError, match="`SwapEMAWeights` must come after"):
        fit(model, batches(2), swap[::-1])


def test_steps_are_counted_anew_after_older_weights_were_loaded(
    build_model, batches, compile_model, tmp_path
):
    model = compile_model(build_model(), sgd())
    path = tmp_path / "early.weights.h5"
    events, batch = [], [0]

    def write(model):
        batch[0] += 1
        if batch[0] == 4:
            model.save_weights(path)
        if batch[0] == 9:
            model.load_weights(path)

    callback = cb.callbacks.Reallocation(
        "set(every=3, end=1.0)", on_event=lambda step, _: events.append(step)
    )
    fit(model, batches(12), [callback, Call(write)], epochs=1)
    # Saved after three steps with their event; the eighth step was undone.
    assert events == [3, 6, 6]
