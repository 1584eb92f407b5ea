"""Threads that share a network come, wait, leave and come again."""

import concurrent.futures
import time
import types

import numpy as np
import pytest

from cb.engine import reference
from cb.engine.network import Network
from cb.engine.team import Team
from cb.errors import InputError
from tests.engine.networks import residual


@pytest.fixture(scope="module")
def case():
    """A team, inputs for it and what it must find."""
    made, graph = residual(width=16, side=15)
    (x,) = made.data(2)
    (expected,) = reference.run(graph, x)
    network = Network(graph)
    team = Team(network._plan(1), x[0].size, expected[0].size)
    return team, x.reshape(len(x), -1), expected.reshape(len(x), -1)


def test_calls_follow_each_other_or_come_late(case):
    team, x, expected = case
    shared = 0
    for number in range(300):
        if number % 100 == 50:
            # Helpers have left by then.
            time.sleep(0.05)
        rows = x[: 1 + number % 2]
        y = np.zeros((len(rows), expected.shape[1]), "float32")
        # Nothing is done where a helper that sleeps has not come out.
        if team.run(rows, y) is not None:
            shared += 1
            np.testing.assert_allclose(y, expected[: len(rows)], atol=1e-4)
    assert shared


def test_helpers_that_have_given_up_are_replaced(monkeypatch):
    made, graph = residual(width=16, side=15)
    (x,) = made.data(1)
    monkeypatch.setattr("cb.engine.team.threads", lambda: 2)
    # Its thread has left the box, but not returned to Python.
    given_up, woken = concurrent.futures.Future(), concurrent.futures.Future()
    given_up.set_running_or_notify_cancel()
    pool = types.SimpleNamespace(submit=lambda _: woken)
    monkeypatch.setattr("cb.engine.team.pool", lambda: pool)
    team = Team(Network(graph)._plan(1), x.size, 5)
    for looking, expected in ((1, [given_up]), (0, [given_up, woken])):
        team._helpers, team._box[3] = [given_up], looking
        # Who has been woken and has not come yet is not woken again.
        for _ in range(2):
            team._call_helpers()
            assert team._helpers == expected


def test_one_caller_at_a_time_and_no_more_examples_than_fit(case):
    team, x, expected = case
    y = np.zeros_like(expected, "float32")
    with team._lock:
        assert team.run(x, y) is None
    many = np.concatenate([x] * 100)
    assert team.run(many, np.concatenate([y] * 100)) is None
    assert not y.any()


def test_callers_at_once_do_without_each_other():
    made, graph = residual(width=16, side=15)
    network = Network(graph)
    network.choices = {1: (1, True)}
    data = [made.data(1)[0] for _ in range(40)]
    expected = [reference.run(graph, x)[0] for x in data]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = [*pool.map(network, data)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    data[0][0, 3, 3, 1] = np.nan
    for _ in range(3):
        with pytest.raises(InputError, match="finite"):
            network(data[0])
    np.testing.assert_allclose(network(data[1]), expected[1], atol=1e-4)
