"""Bundles watched during anyone's `fit`."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.errors import InputError


def data(count=64):
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 6)).astype(np.float32)
    return x, random.integers(0, 3, count)


def compiled(spec="fnn(blocks=3, width=5)", **kwargs):
    model = cb.models.build(spec, (6,), 3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, **kwargs)
    return model


def monitor(**kwargs):
    return cb.callbacks.BundleMonitor(
        data(), batch_size=16, **({"num_samples": 32} | kwargs)
    )


def fit(model, callback, epochs=2, **kwargs):
    return model.fit(
        *data(),
        batch_size=16,
        epochs=epochs,
        callbacks=[callback],
        verbose=0,
        **kwargs,
    )


def test_every_epoch_by_default():
    callback = monitor()
    history = fit(compiled(), callback)
    assert callback.steps == [4, 8]
    layers = [m.layer for m in callback.measurements[0]]
    assert layers == ["block_1", "block_2", "block_3"]
    assert history.history["bundle_entropy"] == [
        row[-1].entropy for row in callback.measurements
    ]
    for number, layer in enumerate(layers):
        mean = np.mean([row[number].entropy for row in callback.measurements])
        assert callback.integral()[layer] == pytest.approx(mean)


def test_every_few_epochs_or_steps():
    callback = monitor(every="2ep")
    fit(compiled(), callback, epochs=5)
    assert callback.steps == [8, 16]
    callback = monitor(every=3)
    fit(compiled(), callback, epochs=2)
    assert callback.steps == [3, 6]


def test_steps_that_are_jumped_over_count():
    callback = monitor(every=3)
    fit(compiled(steps_per_execution=2), callback, epochs=2)
    assert callback.steps == [4, 6]


def test_training_goes_on_as_without_it():
    models = [compiled(), compiled()]
    models[1].set_weights(models[0].get_weights())
    fit(models[0], monitor(every=1), shuffle=False)
    fit(models[1], keras.callbacks.Callback(), shuffle=False)
    for one, other in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_learning_rate_is_the_highest_so_far_unless_given():
    # With steps of no size all examples end up in one bundle.
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [4], [0.1, 0.0]
    )
    model = compiled()
    model.compile(keras.optimizers.SGD(schedule), model.loss)
    rates = ("highest", 0.1, "current")
    monitors = [monitor(learning_rate=rate) for rate in rates]
    default = monitor()
    model.fit(*data(), 16, 2, verbose=0, callbacks=[default, *monitors])
    highest, fixed, current = (one.measurements for one in monitors)
    assert default.measurements == highest == fixed
    assert current[0] == fixed[0]
    assert fixed[1][0].bundles > 1
    assert current[1][0].bundles == 1


def test_a_learning_rate_that_was_always_zero_is_refused():
    model = compiled()
    model.optimizer.learning_rate = 0.0
    with pytest.raises(InputError, match="`learning_rate` must be positive"):
        fit(model, monitor())


def test_the_highest_learning_rate_outlives_a_restart():
    first, second = monitor(), monitor()
    fit(compiled(), first)
    second.set_state(first.get_state())
    model = compiled()
    model.optimizer.learning_rate = 1e-9
    fit(model, second)
    lost = monitor()
    model = compiled()
    model.optimizer.learning_rate = 1e-9
    fit(model, lost)
    assert second.measurements[-1][0].bundles > 1
    assert lost.measurements[-1][0].bundles == 1


def test_the_file_has_one_number_a_row(tmp_path):
    path = tmp_path / "new" / "conflicting_layers.csv"
    callback = monitor(path=path, layers="last")
    fit(compiled(), callback)
    with path.open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["checkpoint", "layer", "name", "value"]
    assert [row[:3] for row in rows[:3]] == [
        ["4", "block_3", "bundles"],
        ["4", "block_3", "entropy"],
        ["4", "block_3", "integral"],
    ]
    assert len(rows) == 6
    assert float(rows[-1][3]) == callback.integral()["block_3"]


def test_tensorboard_gets_numbers_and_a_picture(tmp_path):
    fit(compiled(), monitor(log_dir=tmp_path, layers="block_[12]"))
    (file,) = tmp_path.iterdir()
    seen = {
        (event.step, value.tag)
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    }
    tags = {
        "bundles/block_1/count",
        "bundles/block_1/entropy",
        "bundles/block_2/count",
        "bundles/block_2/entropy",
        "bundles/entropy_over_time",
    }
    assert seen == {(step, tag) for step in (4, 8) for tag in tags}


def test_saved_checks_are_continued(tmp_path):
    first, second = monitor(), monitor(path=tmp_path / "bundles.csv")
    model = compiled()
    fit(model, first)
    second.set_state(first.get_state())
    fit(model, second, epochs=3, initial_epoch=2)
    assert second.steps == [4, 8, 12]
    assert second.measurements[:2] == first.measurements
    lines = (tmp_path / "bundles.csv").read_text(encoding="utf-8").split()
    assert len(lines) == 1 + 3 * 3 * 3


def test_nothing_is_known_of_another_model():
    callback = monitor()
    fit(compiled(), callback)
    other = compiled("fnn(blocks=2, width=4)")
    other.optimizer.learning_rate = 1e-9
    fit(other, callback, epochs=1)
    alone = monitor()
    same = compiled("fnn(blocks=2, width=4)")
    same.set_weights(other.get_weights())
    same.optimizer.learning_rate = 1e-9
    fit(same, alone, epochs=1)
    assert callback.steps == [4]
    assert [m.layer for m in callback.measurements[0]] == [
        "block_1",
        "block_2",
    ]
    found, expected = (
        [m.bundles for m in one.measurements[-1]] for one in (callback, alone)
    )
    assert found == expected


def test_the_state_before_the_first_check_is_empty():
    callback = monitor()
    callback.set_state(callback.get_state())
    assert (callback.steps, callback.integral()) == ([], {})


def test_strategies_and_sparse_models_are_watched(two_replicas):
    with two_replicas.scope():
        dense = cb.models.build("small_cnn(filters=4, units=5)", (8, 8, 1), 3)
        model = cb.sparsify(dense, sparsity=0.5)
        model.compile("sgd", "mse")
    random = np.random.default_rng(0)
    x = random.normal(size=(32, 8, 8, 1)).astype(np.float32)
    y = random.integers(0, 3, 32)
    callback = cb.callbacks.BundleMonitor((x, y), 16, num_samples=16)
    dataset = tf.data.Dataset.from_tensor_slices((x, np.eye(3)[y])).batch(16)
    model.fit(
        dataset,
        callbacks=[callback, cb.callbacks.Reallocation("set(every=1)")],
        shuffle=False,
        verbose=0,
    )
    names = [m.layer for m in callback.measurements[0]]
    assert names == ["flatten", "hidden"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 65}, "at most 64"),
        ({"every": "ep"}, "`every` must be"),
        ({"every": 0.5}, "`every` must be"),
        ({"learning_rate": 0}, "`learning_rate` must be positive"),
        ({"layers": "conv"}, "matches no layer"),
        ({"num_classes": 2}, "label 2, num_classes=2"),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message):
        fit(compiled(), monitor(**arguments), epochs=1)
