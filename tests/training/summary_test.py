"""The closing summary says what events have done, and what is missing."""

import keras
import numpy as np
import pytest

import cb
from cb.training.summary import _export_lines
from cb.training.summary import moved
from cb.training.summary import print_summary


@pytest.mark.parametrize("every", [10, 100])
def test_events_of_the_whole_run_are_in_the_summary(every, capsys):
    dense = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8)])
    model = cb.sparsify(dense, 0.5)
    callback = cb.callbacks.Reallocation(
        f"set(every={every}, end=1.0)", total_steps=40, steps_per_epoch=10
    )
    # As a checkpoint has it, if the run was killed before its summary.
    callback.set_state({"totals": np.array([4, 1200, 1100])})
    found = moved(model, [callback], (0, 40))
    assert found["reallocation/events"] == 4
    assert found["reallocation/dropped"] == 1200
    assert found["reallocation/grown"] == 1100
    assert found["reallocation/density"] == 0.5
    print_summary(
        {
            "layers": [],
            "parameters": 56,
            "test": {"accuracy": 0.5},
            "epochs": 4,
            "seconds": 1.0,
            "run_dir": "runs/one",
            "reallocation": "set",
            **found,
        }
    )
    printed = capsys.readouterr().out
    assert (
        "events      4 of set: 1,200 connections dropped, 1,100 grown"
        in printed
    )
    assert ("NOT REACHED: No event of Sparse" in printed) == (every == 100)


def test_events_before_a_run_began_are_none_of_its_own():
    dense = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8)])
    model = cb.sparsify(dense, 0.5)
    callback = cb.callbacks.Reallocation(
        "set(every=4, end=0.75)", total_steps=100, steps_per_epoch=10
    )
    callback.set_state({})
    assert moved(model, [callback], (0, 100))["not_reached"] == []
    (text,) = moved(model, [callback], (80, 100))["not_reached"]
    assert text.startswith("No event of Sparse")


def test_goals_are_those_of_what_trained_and_of_blocks():
    layers = [keras.layers.Dense(8), keras.layers.Dense(8), keras.Input((6,))]
    model = cb.sparsify(
        keras.Sequential(layers[::-1]), 0.0, granularity="block(rows=2)"
    )
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    callback = cb.callbacks.Reallocation(
        "magnitude_pruning(sparsity=0.75, every=2)",
        total_steps=8,
        steps_per_epoch=8,
    )
    x, y = np.ones((16, 6)), np.ones((16, 8))
    model.fit(x, y, 2, verbose=0, callbacks=[callback])
    masks = [np.asarray(layer.mask) for layer in model.layers]
    assert [mask.mean() for mask in masks] == [1.0, 0.25]
    found = moved(model, [callback], (0, 8))
    assert found["not_reached"] == []
    assert found["reallocation/dropped"] == 48
    # Before the last event.
    model.layers[1].mask.assign(np.ones((8, 8)))
    (text,) = moved(model, [callback], (0, 8))["not_reached"]
    assert "sparsity of 0.7500 that it was asked for, but 0.0000" in text


@pytest.mark.parametrize(
    "dense, csr, written, named",
    [
        (202_440, 43_452, 232_678, True),
        # Nothing is zero, or the weights are a small part of the files.
        (202_440, 403_000, 232_678, False),
        (2_440, 624, 27_904, False),
    ],
)
def test_an_export_is_named_where_zeros_are_much_of_it(
    dense, csr, written, named
):
    costs = {"dense_bytes": dense, "csr_bytes": csr, "export_bytes": written}
    summary = {"run_dir": "a run", "costs": {**costs, "bitmask_bytes": dense}}
    lines = _export_lines(summary)
    assert bool(lines) == named
    if named:
        assert "about 43,452 bytes instead of 232,678" in lines[0]
        assert lines[1].endswith(" --run_dir='a run' --export=auto")


def test_a_run_without_masks_has_no_events():
    dense = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8)])
    assert moved(dense, [], (0, 40)) == {}
