"""The progress of a training is a table that fits on a terminal."""

import keras
import numpy as np
import pytest

import cb
from cb.callbacks.progress import ABOVE
from cb.callbacks.progress import Progress
from cb.text import WIDTH

EXAMPLES, BATCH = 60, 4
STEPS = EXAMPLES // BATCH


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Print no row because the machine is slow."""
    for name in ("PATIENCE_SECONDS", "TERMINAL_SECONDS"):
        monkeypatch.setattr(f"cb.callbacks.progress.{name}", float("inf"))


def train(terminal):
    """Train for two epochs, with an event after every sixth step."""
    random = np.random.default_rng(0)
    x = random.normal(size=(EXAMPLES, 6)).astype("float32")
    labels = random.integers(0, 3, EXAMPLES)
    keras.utils.set_random_seed(0)
    dense = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model = cb.sparsify(dense, 0.5)
    model.compile("sgd", "mse", metrics=["accuracy"])
    events = cb.callbacks.Reallocation(
        "set(every=6, end=1.0)", total_steps=2 * STEPS, steps_per_epoch=STEPS
    )
    progress = Progress(5, 2, STEPS, lambda number, asked: 0.0, terminal)
    history = model.fit(
        *(x, keras.utils.to_categorical(labels, 3), BATCH, 2),
        validation_data=(x, keras.utils.to_categorical(labels, 3)),
        callbacks=[events, progress],
        verbose=0,
    )
    return history.history


def test_rows_have_the_numbers_of_epochs_in_columns(capsys):
    history = train(terminal=False)
    legend, head, *rows = capsys.readouterr().out.splitlines()
    assert "moved: connections dropped or grown" in legend
    places = ["step 5/15", "step 10/15", "epoch 1/2"]
    places += ["step 5/15", "step 10/15", "epoch 2/2"]
    for row, place in zip(rows, places, strict=True):
        assert row.strip().startswith(place)
        assert len(row) < WIDTH
    for epoch, row in enumerate([rows[2], rows[5]]):
        for name in ("accuracy", "loss", "val_accuracy", "val_loss"):
            end = head.index(f" {name} ") + len(name) + 1
            found = float(row[:end].split()[-1])
            assert found == pytest.approx(history[name][epoch], abs=1e-4)
        moved = head.index("moved") + len("moved")
        dropped = history["reallocation/dropped"][epoch]
        assert float(row[:moved].split()[-1]) == dropped
        assert row.endswith("0.0 ms")
    assert sum(history["reallocation/dropped"]) > 0


def test_on_a_terminal_a_row_of_steps_is_replaced(capsys):
    train(terminal=True)
    *_, head, one, two, first, _, _, last = capsys.readouterr().out.splitlines()
    assert "accuracy" in head and one.startswith("  step 5/15")
    assert two.startswith(f"{ABOVE}  step 10/15")
    assert first.startswith(f"{ABOVE}epoch 1/2")
    assert last.startswith(f"{ABOVE}epoch 2/2")


class Slow(keras.callbacks.Callback):
    """Lets steps take a quarter of a second, and evaluations long.

    Args:
        stop: Integer, the batch after which training stops, or `None`.
    """

    def __init__(self, monkeypatch, stop=None):
        super().__init__()
        self.now, self.stop = 0.0, stop
        clock = "cb.callbacks.progress.time.monotonic"
        monkeypatch.setattr(clock, lambda: self.now)

    def on_train_batch_end(self, batch, logs=None):
        self.now += 0.25
        if batch == self.stop:
            self.model.stop_training = True

    def on_test_end(self, logs=None):
        self.now += 1000.0

    on_epoch_end = on_epoch_begin = lambda self, *_: self.on_test_end()


@pytest.mark.parametrize("stop, epochs", [(None, 2), (1, 1)])
def test_the_time_of_a_step_is_that_of_steps(stop, epochs, capsys, monkeypatch):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    x, y = np.zeros((EXAMPLES, 6)), np.zeros((EXAMPLES, 3))
    progress = Progress(100, 2, STEPS, lambda number, asked: None)
    callbacks = [Slow(monkeypatch, stop), progress]
    model.fit(x, y, BATCH, 2, 0, callbacks=callbacks, validation_data=(x, y))
    rows = [r for r in capsys.readouterr().out.splitlines() if "epoch" in r]
    assert len(rows) == epochs
    assert all(row.endswith("250.0 ms") for row in rows)


def test_rows_of_several_steps_come_where_they_have_passed(capsys):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", steps_per_execution=3)
    x, y = np.zeros((EXAMPLES, 6)), np.zeros((EXAMPLES, 3))
    progress = Progress(5, 1, STEPS, lambda number, asked: None)
    model.fit(x, y, BATCH, callbacks=[progress], verbose=0)
    _, head, *rows = capsys.readouterr().out.splitlines()
    # Of 3, 6, 9, 12 and 15 steps.
    places = ["step 6/15", "step 12/15", "epoch 1/1"]
    for row, place in zip(rows, places, strict=True):
        assert row.strip().startswith(place)
        assert len(row) < len(head), "a wait for input"
