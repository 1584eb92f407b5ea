"""What the epochs and events of a run leave in its log."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.callbacks import epoch_numbers
from cb.callbacks.reallocation.outcome import Change
from cb.callbacks.run_logger import RunLogger
from cb.run_log import RunLog
from cb.run_log import Sink

EXAMPLES, BATCH = 12, 4
UPDATES = EXAMPLES // BATCH


class Rows(Sink):
    """Keeps numbers as tuples of part, step, name and value."""

    def __init__(self):
        self.rows = []

    def scalars(self, step, values, part="train"):
        self.rows += [(part, step, *item) for item in values.items()]

    def names(self, part, step):
        return [row[2] for row in self.rows if row[:2] == (part, step)]

    def value(self, part, step, name):
        (found,) = [
            row[3] for row in self.rows if row[:3] == (part, step, name)
        ]
        return found


def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(EXAMPLES, 5)).astype(np.float32)
    return x, random.integers(0, 3, EXAMPLES)


@pytest.fixture
def sink():
    return Rows()


def train(logger, epochs=2):
    dense = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(8, name="hidden"),
            keras.layers.Dense(3, name="logits"),
        ]
    )
    model = cb.sparsify(dense, sparsity=0.5, distribution="uniform")
    rates = keras.optimizers.schedules.PiecewiseConstantDecay(
        [UPDATES], [0.5, 0.25]
    )
    model.compile(
        keras.optimizers.SGD(rates),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model, model.fit(
        *data(),
        BATCH,
        epochs,
        validation_data=data(),
        callbacks=[logger],
        verbose=0,
    )


def test_an_epoch_leaves_metrics_rate_densities_and_costs(sink):
    logger = RunLogger(RunLog([sink]), UPDATES, {}, input_shape=(5,))
    model, history = train(logger)
    for epoch in (1, 2):
        step = epoch * UPDATES
        assert sink.names("train", step) == [
            "accuracy",
            "loss",
            "learning_rate",
            "density/hidden",
            "density/logits",
            "density",
            "macs",
            "flops",
        ]
        assert sink.names("validation", step) == ["accuracy", "loss"]
        for name in ("accuracy", "loss"):
            found = sink.value("train", step, name)
            assert found == history.history[name][epoch - 1]
            found = sink.value("validation", step, name)
            assert found == history.history[f"val_{name}"][epoch - 1]
    # The rates with which the two epochs were trained.
    assert sink.value("train", UPDATES, "learning_rate") == 0.5
    assert sink.value("train", 2 * UPDATES, "learning_rate") == 0.25
    kept = 0
    for layer in model.layers:
        active = int(np.count_nonzero(layer.mask))
        kept += active
        found = sink.value("train", UPDATES, f"density/{layer.name}")
        assert found == active / np.size(layer.mask)
    assert sink.value("train", UPDATES, "density") == kept / (5 * 8 + 8 * 3)
    assert sink.value("train", UPDATES, "macs") == kept


def test_training_examples_are_scored_without_augmentation(sink):
    dataset = tf.data.Dataset.from_tensor_slices(data()).batch(BATCH)
    logger = RunLogger(RunLog([sink]), UPDATES, {}, dataset, (5,))
    model, _ = train(logger, epochs=1)
    loss, accuracy = model.evaluate(dataset, verbose=0)
    assert sink.value("train_evaluation", UPDATES, "loss") == loss
    assert sink.value("train_evaluation", UPDATES, "accuracy") == accuracy


def test_test_examples_are_scored_after_every_epoch(sink):
    dataset = tf.data.Dataset.from_tensor_slices(data()).batch(BATCH)
    logger = RunLogger(RunLog([sink]), UPDATES, {}, test_evaluation=dataset)
    model, _ = train(logger)
    assert sink.names("test", UPDATES) == ["accuracy", "loss"]
    loss, accuracy = model.evaluate(dataset, verbose=0)
    assert sink.value("test", 2 * UPDATES, "loss") == loss
    assert sink.value("test", 2 * UPDATES, "accuracy") == accuracy


def test_one_more_function_is_one_more_number(sink, monkeypatch):
    before = epoch_numbers.epoch_numbers

    def norm(model):
        weights = np.concatenate([w.ravel() for w in model.get_weights()])
        return {"norm": float(np.linalg.norm(weights))}

    monkeypatch.setattr(
        "cb.callbacks.run_logger.epoch_numbers",
        lambda shape: [*before(shape), norm],
    )
    logger = RunLogger(RunLog([sink]), UPDATES, {}, input_shape=(5,))
    model, _ = train(logger, epochs=1)
    assert sink.names("train", UPDATES)[-1] == "norm"
    assert sink.value("train", UPDATES, "norm") == norm(model)["norm"]


def test_an_event_leaves_counts_and_densities_inside_of_epochs(sink):
    logger = RunLogger(RunLog([sink]), UPDATES, {})
    before = np.array([[True, True, False, False]])
    after = np.array([[True, False, True, True]])
    kernel = types.SimpleNamespace(name="hidden", mask=after)
    change = Change(kernel, before, after)
    logger.log_event(UPDATES - 1, [change], {"threshold": 0.5})
    assert sink.rows == [
        ("train", UPDATES - 1, "threshold", 0.5),
        ("train", UPDATES - 1, "dropped/hidden", 1.0),
        ("train", UPDATES - 1, "grown/hidden", 2.0),
        ("train", UPDATES - 1, "density/hidden", 0.75),
    ]
    logger.log_event(UPDATES, [change], {})
    assert sink.names("train", UPDATES) == ["dropped/hidden", "grown/hidden"]
