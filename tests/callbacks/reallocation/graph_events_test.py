"""A graph selects the weights that the pure algorithms select."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.callbacks.reallocation import graph_selection
from cb.callbacks.reallocation.graph_events import GraphEvents
from cb.callbacks.reallocation.graph_selection import top
from cb.callbacks.reallocation.graph_selection import top_of_groups
from cb.errors import RunError
from cb.sparsity import masks
from tests.callbacks.reallocation.contract_test import bits
from tests.callbacks.reallocation.contract_test import sgd

pytestmark = pytest.mark.filterwarnings("ignore::cb.errors.NotReached")


def walk(shape, seed=0):
    """Yield scores that move a little, jump, tie and vanish."""
    random = np.random.default_rng(seed)
    scores = np.abs(random.normal(size=shape)).astype("float32")
    for number in range(12):
        yield scores
        factor = 1 + 1e-3 * random.normal(size=shape)
        if number == 4:
            factor = 3.0
        if number == 6:
            scores = np.round(scores, 1)
        if number == 9:
            factor = random.random(shape) > 0.95
        scores = np.float32(np.abs(scores * factor))


@pytest.mark.parametrize("count", [0, 1, 250, 2999, 3000])
def test_the_top_is_that_of_the_pure_algorithm(count):
    rule = tf.function(top(count), autograph=False)
    for scores in walk((60, 50)):
        expected = masks.keep_top(scores, count)
        found = rule(tf.constant(scores)).numpy().reshape(scores.shape)
        np.testing.assert_array_equal(found, expected)


def test_a_threshold_that_hardly_moves_leaves_few_to_sort(monkeypatch):
    sorted_sizes = []
    add = graph_selection._add_best

    def spy(mask, scores, places, count):
        sorted_sizes.append(int(tf.size(places)))
        return add(mask, scores, places, count)

    monkeypatch.setattr(graph_selection, "_add_best", spy)
    rule = top(500)
    for scores in [*walk((60, 50))][:4]:
        rule(tf.constant(scores))
    assert sorted_sizes[0] == 3000
    assert max(sorted_sizes[1:]) < 100


@pytest.mark.parametrize(
    ("shape", "n", "m", "axis"),
    [
        ((12, 5), 2, 4, -2),
        ((10, 7), 1, 4, 0),
        ((3, 3, 8, 6), 2, 4, -2),
        ((6, 9), 3, 3, 1),
        ((6, 9), 1, 1, 1),
        ((5, 20), 4, 16, 1),
    ],
)
def test_groups_are_those_of_the_pure_algorithm(shape, n, m, axis):
    rule = tf.function(top_of_groups(n, m, axis), autograph=False)
    for scores in walk(shape):
        expected = masks.keep_top_of_groups(scores, n, m, axis)
        np.testing.assert_array_equal(rule(tf.constant(scores)), expected)


@pytest.mark.parametrize(
    "spec",
    [
        "discover_wirings",
        "n_by_m(n=1, m=3)",
        "deep_rewiring(eta=0.1, temperature=0.1)",
        "deep_rewiring(sign='adopted', eta=0.1, reset_momentum=False)",
        "deep_rewiring(noise='gradients', eta=0.1, temperature=1.0)",
    ],
)
@pytest.mark.parametrize("logged", [False, True])
def test_a_training_has_the_same_bits_and_events(
    spec, logged, strategy, build_model, batches, compile_model, monkeypatch
):
    def train():
        with strategy.scope():
            model = compile_model(build_model(), sgd())
        told = []
        callback = cb.callbacks.Reallocation(
            spec,
            on_event=(lambda step, changes: told.append((step, changes)))
            if logged
            else None,
        )
        logs = model.fit(
            batches(6), epochs=2, verbose=0, shuffle=False, callbacks=[callback]
        ).history
        told = [
            (step, [(c.dropped, c.grown, c.density) for c in changes])
            for step, changes in told
        ]
        state = callback.get_state()
        state = {key: value.tobytes() for key, value in state.items()}
        variables = [*model.variables, *model.optimizer.variables]
        return bits(variables), told, logs, state

    in_graph = train()
    used = []
    monkeypatch.setattr(GraphEvents, "_make", lambda *_: used.append(1))
    assert train() == in_graph
    assert used
    assert sum(in_graph[2]["reallocation/grown"]) > 0
    assert len(in_graph[1]) == (12 if logged else 0)


def test_weights_that_are_not_numbers_are_said(
    build_model, batches, compile_model
):
    model = compile_model(build_model(), keras.optimizers.SGD(np.inf))
    with pytest.raises(RunError, match="must not be NaN"):
        model.fit(
            batches(4),
            verbose=0,
            shuffle=False,
            callbacks=[cb.callbacks.Reallocation("discover_wirings")],
        )
