"""What events have done is counted and logged; what they have not, is said."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

import cb
from cb.distribute.variables import read
from cb.errors import NotReached
from cb.layers.masked import masked_kernels
from tests.callbacks.reallocation.contract_test import sgd


class Count(keras.callbacks.Callback):
    """Counts differences of masks from batch to batch and at an epoch's end."""

    def on_train_begin(self, logs=None):
        self.masks = self.read()
        self.rows = []

    def on_epoch_begin(self, epoch, logs=None):
        self.rows.append([0, 0, 0])

    def on_train_batch_begin(self, batch, logs=None):
        new = self.read()
        changes = [*zip(self.masks, new, strict=True)]
        row = self.rows[-1]
        row[0] += any((one != two).any() for one, two in changes)
        row[1] += sum(np.count_nonzero(one & ~two) for one, two in changes)
        row[2] += sum(np.count_nonzero(two & ~one) for one, two in changes)
        self.masks = new

    def on_epoch_end(self, epoch, logs=None):
        self.on_train_batch_begin(0)

    def read(self):
        return [read(k.mask) != 0 for k in masked_kernels(self.model)]


def fit(model, data, callbacks, epochs=1, **kwargs):
    return model.fit(
        data,
        epochs=epochs,
        verbose=0,
        shuffle=False,
        callbacks=callbacks,
        **kwargs,
    )


def test_history_and_tensorboard_have_what_has_moved(
    build_model, batches, compile_model, tmp_path
):
    model = compile_model(build_model(), sgd())
    spec = "magnitude_pruning(sparsity=0.75, every=2, end=8)"
    callback = cb.callbacks.Reallocation(spec, log_dir=tmp_path)
    count = Count()
    history = fit(model, batches(5), [callback, count], epochs=2).history
    for row, *numbers in zip(
        count.rows,
        *(history[f"reallocation/{n}"] for n in ("events", "dropped", "grown")),
        strict=True,
    ):
        assert row == numbers
    assert history["reallocation/events"] == [2.0, 2.0]
    masks = [read(kernel.mask) for kernel in masked_kernels(model)]
    density = sum(m.sum() for m in masks) / sum(m.size for m in masks)
    assert history["reallocation/density"][-1] == pytest.approx(density)
    (folder,) = tmp_path.iterdir()
    found = event_accumulator.EventAccumulator(
        str(folder), size_guidance={"tensors": 0}
    ).Reload()
    for kernel, mask in zip(masked_kernels(model), masks, strict=True):
        values = {
            name: [
                (one.step, float(tf.make_ndarray(one.tensor_proto)))
                for one in found.Tensors(f"{name}/{kernel.name}")
            ]
            for name in ("density", "dropped")
        }
        assert [step for step, _ in values["density"]] == [2, 4, 6, 8]
        assert values["density"][-1][1] == pytest.approx(mask.mean())
        total = sum(number for _, number in values["dropped"])
        assert total == mask.size - mask.sum()
        assert f"grown/{kernel.name}" in found.Tags()["tensors"]


def test_counts_go_on_in_a_resumed_training(
    build_model, batches, compile_model
):
    def run(callback, model, first, last):
        epochs = {"initial_epoch": first, "epochs": last}
        return fit(model, batches(4), [callback], **epochs)

    whole = cb.callbacks.Reallocation("set(every=2, end=1.0)")
    run(whole, compile_model(build_model(), sgd()), 0, 2)
    model = compile_model(build_model(), sgd())
    parts = [
        cb.callbacks.Reallocation("set(every=2, end=1.0)", total_steps=8)
        for _ in range(2)
    ]
    run(parts[0], model, 0, 1)
    parts[1].set_state(parts[0].get_state())
    run(parts[1], model, 1, 2)
    for one, two in ((whole, parts[1]),):
        np.testing.assert_array_equal(
            one.get_state()["totals"], two.get_state()["totals"]
        )
        assert one.get_state()["totals"][0] == 4


def test_an_epoch_counts_nothing_of_a_training_that_was_cut(
    build_model, batches, compile_model
):
    class Cut(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    model = compile_model(build_model(), sgd())
    callback = cb.callbacks.Reallocation("set(every=2, end=1.0)")
    with pytest.raises(KeyboardInterrupt):
        fit(model, batches(8), [callback, Cut()])
    before = callback.get_state()["totals"]
    assert before[0] == 1
    history = fit(model, batches(8), [callback]).history
    moved = callback.get_state()["totals"] - before
    for name, number in zip(("events", "dropped", "grown"), moved, strict=True):
        assert history[f"reallocation/{name}"] == [number]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("set", "in steps 1 to 40, .* every 100 steps, .*`every=3`"),
        ("set(every=5, start=41, end=90)", "from step 41 to step 90.$"),
        (
            "magnitude_pruning(sparsity=0.9, iterations=9, every=6, "
            "schedule='linear')",
            "0.9.* that it was asked for, but 0.6",
        ),
        (
            "magnitude_pruning(sparsity=0.75)",
            "acted once, at step 30, .*every=3. for about ten events",
        ),
    ],
)
def test_what_did_not_happen_is_said_once(
    spec, message, build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    callback = cb.callbacks.Reallocation(spec)
    with pytest.warns(NotReached, match=message):
        fit(model, batches(40), [callback])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model, batches(4), [callback])


def test_one_of_several_events_is_no_single_one(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    spec = "magnitude_pruning(sparsity=0.75, every=4, end=40)"
    callback = cb.callbacks.Reallocation(spec, total_steps=40)
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: setattr(
            model, "stop_training", batch == 5
        )
    )
    with pytest.warns(NotReached) as told:
        fit(model, batches(40), [callback, stop])
    assert ["acted once" in str(one.message) for one in told] == [False]


def test_early_stopping_restores_masks_of_blocks(batches, compile_model):
    dense = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    sparse = cb.sparsify(dense, 0.0, granularity="block(rows=2, columns=1)")
    model = compile_model(sparse, sgd())
    spec = "magnitude_pruning(sparsity=0.5, every=2, end=4)"
    stop = keras.callbacks.EarlyStopping("loss", restore_best_weights=True)
    callback = cb.callbacks.Reallocation(spec)
    fit(model, batches(4), [callback, stop], epochs=2)
    (kernel,) = masked_kernels(model)
    # Five of nine blocks.
    assert read(kernel.mask).sum() == 10


def test_what_early_stopping_undoes_is_said(
    build_model, batches, compile_model
):
    class Rise(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["worse"] = float(epoch)

    model = compile_model(build_model(), sgd())
    spec = "magnitude_pruning(sparsity=0.75, every=2, end=8)"
    stop = keras.callbacks.EarlyStopping(
        "worse", mode="min", patience=9, restore_best_weights=True
    )
    callback = cb.callbacks.Reallocation(spec)
    with pytest.warns(NotReached, match="sparsity of 0.75"):
        fit(model, batches(4), [callback, Rise(), stop], epochs=2)
    masks = [read(kernel.mask) for kernel in masked_kernels(model)]
    assert sum(m.sum() for m in masks) > 0.25 * sum(m.size for m in masks)


def test_one_iteration_prunes_before_the_first_step(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), sgd())
    kernels = masked_kernels(model)
    weights = [np.abs(read(kernel.weight)) for kernel in kernels]
    spec = "magnitude_pruning(sparsity=0.75, iterations=1)"
    fit(model, batches(4), [cb.callbacks.Reallocation(spec)])
    for kernel, before in zip(kernels, weights, strict=True):
        mask = read(kernel.mask) != 0
        assert mask.sum() == round(0.25 * mask.size)
        assert before[mask].min() >= before[~mask].max()
