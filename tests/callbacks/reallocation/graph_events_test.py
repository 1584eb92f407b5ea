"""A graph selects the weights that the pure algorithms select."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.callbacks.reallocation import graph_events
from cb.callbacks.reallocation.graph_events import GraphEvents
from cb.callbacks.reallocation.graph_selection import selected
from cb.errors import RunError
from cb.kernels import selection
from cb.sparsity.reallocation.deep_rewiring import DeepRewiring
from cb.sparsity.reallocation.discover_wirings import DiscoverWirings
from cb.sparsity.rules import Top
from cb.sparsity.rules import TopOfGroups
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


def in_graph(rule, shape):
    """Return a function from weights and a mask to the new one and counts."""

    def select(weights, active):
        given = [tf.reshape(one, [-1]) for one in (weights, active)]
        mask, numbers = selected(rule, given, shape)
        return tf.reshape(mask, shape), numbers

    return tf.function(select, autograph=False)


def check(rule, shape, arrays):
    """Compare masks and counts of a graph with those of NumPy."""
    select = in_graph(rule, shape)
    active = np.zeros(shape, np.float32)
    for scores in arrays:
        signs = np.where(np.arange(scores.size) % 3, 1, -1).reshape(shape)
        weights = np.float32(scores * signs)
        expected = rule.choose(weights)
        found, numbers = select(tf.constant(weights), tf.constant(active))
        np.testing.assert_array_equal(found, expected)
        counts = [active, active * expected, expected]
        assert numbers.numpy().tolist()[:3] == [one.sum() for one in counts]
        active = np.float32(expected)


@pytest.mark.parametrize("count", [0, 1, 250, 2999, 3000])
def test_the_top_is_that_of_the_pure_algorithm(count):
    check(Top(count), (60, 50), walk((60, 50)))


def test_a_threshold_that_hardly_moves_leaves_few_to_compare():
    last, values = None, np.empty(3000, np.float32)
    for weights in [*walk((3000,))][:4]:
        if last is not None:
            places = np.empty(values.size, np.int64)
            above, found, _ = selection._near(weights, last, values, places)
            assert above <= 500 <= above + found
            assert found < 50
        last = np.sort(weights)[-500]
        assert selection._highest(weights, 500) == last


@pytest.mark.parametrize(
    ("shape", "n", "m", "axis"),
    [
        ((12, 5), 2, 4, -2),
        ((10, 7), 1, 4, 0),
        ((3, 3, 8, 36), 2, 4, -2),
        ((6, 9), 3, 3, 1),
        ((6, 9), 1, 1, 1),
        ((5, 20), 4, 16, 1),
        ((4, 10, 20), 2, 4, 1),
    ],
)
def test_groups_are_those_of_the_pure_algorithm(shape, n, m, axis):
    def arrays():
        yield from walk(shape)
        scores = np.random.default_rng(1).normal(size=shape)
        scores.flat[::3] = np.nan
        yield np.float32(scores)

    check(TopOfGroups(n, m, axis), shape, arrays())


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

    of_graph = train()
    used = []
    monkeypatch.setattr(GraphEvents, "_make", lambda *_: used.append(1))
    assert train() == of_graph
    assert used
    assert sum(of_graph[2]["reallocation/grown"]) > 0
    assert len(of_graph[1]) == (12 if logged else 0)


class Halved(DiscoverWirings):
    """Declares by a rule alone what a graph can do."""

    def rules(self, keys, state):
        return {
            key: Top(rule.number // 2)
            for key, rule in super().rules(keys, state).items()
        }


class Frozen(DeepRewiring):
    """Does in an event something that no graph knows of."""

    def update(self, layers, state, *, event, seed):
        return {key: layer.mask for key, layer in layers.items()}, state


def test_an_algorithm_from_outside_says_what_a_graph_can_do(
    build_model, batches, compile_model, monkeypatch
):
    def train(algorithm):
        model = compile_model(build_model(), sgd())
        callback = cb.callbacks.Reallocation(algorithm)
        logs = model.fit(
            batches(4), verbose=0, shuffle=False, callbacks=[callback]
        ).history
        return bits(model.variables), logs, callback._kernels._events._do

    of_graph = train(Halved())
    assert of_graph[2] is not None
    assert train(DiscoverWirings())[0] != of_graph[0]
    # What it overrides holds, also where its base has something for a graph.
    frozen = train(Frozen(eta=0.1, temperature=0.1))
    assert frozen[1]["reallocation/grown"] == [0.0]
    assert frozen[2] is None
    monkeypatch.setattr(GraphEvents, "_make", lambda *_: None)
    assert train(Halved())[:2] == of_graph[:2]


def test_without_numba_it_is_said_once(
    build_model, batches, compile_model, monkeypatch
):
    monkeypatch.setattr(graph_events, "has_numba", lambda: False)
    model = compile_model(build_model(), sgd())

    def train(callback):
        model.fit(batches(2), verbose=0, shuffle=False, callbacks=[callback])

    callback = cb.callbacks.Reallocation("discover_wirings")
    with pytest.warns(UserWarning, match="pip install numba") as said:
        train(callback)
        train(callback)
    assert sum("numba" in str(one.message) for one in said) == 1
    train(cb.callbacks.Reallocation("set"))


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
