import keras_tuner
import numpy as np
import pytest

from benchmarks import pareto_oracle
from cb.errors import InputError
from cb.tuning import oracles
from cb.tuning import pareto
from tests.tuning import searches

OURS = ("latin_hypercube", "pareto", "pareto(sampler='nsga2', population=4)")


def conditional_space():
    space = keras_tuner.HyperParameters()
    space.Choice("kind", ["wide", "deep"])
    space.Int("width", 1, 64, sampling="log")
    with space.conditional_scope("kind", ["deep"]):
        space.Int("depth", 2, 10, step=2)
    space.Float("rate", 1e-4, 1.0, sampling="log")
    space.Float("back", 1e-4, 1.0, sampling="reverse_log")
    space.Boolean("noisy")
    return space


def two_objectives(values):
    cost = values["width"] * values.get("depth", 1)
    return {"error": 1 / cost + values["rate"], "cost": float(cost)}


@pytest.mark.parametrize("spec", OURS)
def test_conditions_and_ranges_hold(spec, tmp_path):
    oracle = searches.build(spec, ["error", "cost"], 30, conditional_space())
    search = searches.Search(oracle, two_objectives, tmp_path)
    search.search()
    assert len(search.tried) == 30
    for values in search.tried:
        assert ("depth" in values) == (values["kind"] == "deep")
        assert values.get("depth", 2) in (2, 4, 6, 8, 10)
        assert 1 <= values["width"] <= 64
        assert 1e-4 <= values["rate"] <= 1.0
        assert 1e-4 <= values["back"] <= 1.0


@pytest.mark.parametrize("spec", OURS)
def test_a_search_killed_and_reloaded_tries_the_same(spec, tmp_path):
    def search(folder, stop_after=None):
        oracle = searches.build(
            spec, ["error", "cost"], 24, conditional_space()
        )
        found = searches.Search(
            oracle, two_objectives, tmp_path / folder, stop_after
        )
        found.save()
        return found

    whole = search("whole")
    whole.search()
    killed = search("killed", stop_after=15)
    with pytest.raises(KeyboardInterrupt):
        killed.search()
    resumed = search("killed")
    resumed.search()
    assert killed.tried + resumed.tried == whole.tried


def test_latin_hypercube_tries_every_part_of_every_range_once(tmp_path):
    space = keras_tuner.HyperParameters()
    space.Float("a", 0.0, 1.0)
    space.Float("b", 1e-3, 1e3, sampling="log")
    oracle = searches.build("latin_hypercube", ["f"], 40, space)
    search = searches.Search(oracle, lambda values: {"f": 0.0}, tmp_path)
    search.search()
    a = [values["a"] for values in search.tried]
    b = [np.log10(values["b"] / 1e-3) / 6 for values in search.tried]
    for column in (a, b):
        parts = np.floor(np.array(column) * 40).astype(int)
        np.testing.assert_array_equal(np.sort(parts), np.arange(40))


def test_best_trials_are_the_front_then_the_next_layers(tmp_path):
    space = keras_tuner.HyperParameters()
    space.Int("n", 0, 19)
    golden = np.random.default_rng(0).integers(0, 6, (20, 2)).astype(float)

    def function(values):
        error, cost = golden[values["n"]]
        return {"error": error, "cost": cost}

    oracle = searches.build("pareto", ["error", "cost"], 20, space)
    searches.Search(oracle, function, tmp_path).search()
    best = oracle.get_best_trials(20)
    tried = [trial.hyperparameters["n"] for trial in best]
    assert sorted(tried) == list(range(20))
    numbers = pareto.layers(golden)[tried]
    np.testing.assert_array_equal(numbers, np.sort(numbers))


def test_points_that_break_a_constraint_are_behind_and_avoided(tmp_path):
    space = keras_tuner.HyperParameters()
    space.Float("size", 1.0, 10.0)
    oracle = searches.build(
        "pareto", ["error", "cost"], 60, space, constraints={"cost": 4.0}
    )

    def function(values):
        # As for a run that was not trained because of its cost.
        error = 1 / values["size"] if values["size"] <= 4.0 else np.inf
        return {"error": error, "cost": values["size"]}

    search = searches.Search(oracle, function, tmp_path)
    search.search()
    costs = np.array([values["size"] for values in search.tried])
    assert np.mean(costs[30:] <= 4.0) > np.mean(costs[:10] <= 4.0)
    front = [
        trial.hyperparameters["size"]
        for trial in oracle.get_best_trials(int(np.sum(costs <= 4.0)))
    ]
    assert max(front) <= 4.0


def test_an_exhausted_space_ends_the_search(tmp_path):
    space = keras_tuner.HyperParameters()
    space.Choice("a", [1, 2, 3])
    oracle = searches.build("pareto", ["f"], 50, space)
    search = searches.Search(oracle, lambda v: {"f": float(v["a"])}, tmp_path)
    search.search()
    assert sorted(values["a"] for values in search.tried) == [1, 2, 3]


def test_failed_trials_do_not_end_the_search(tmp_path):
    def function(values):
        if values["kind"] == "deep":
            raise ValueError("no such model")
        return two_objectives(values)

    oracle = searches.build(
        "pareto", ["error", "cost"], 15, conditional_space()
    )
    searches.Search(oracle, function, tmp_path).search()
    states = {trial.status for trial in oracle.trials.values()}
    assert states == {"COMPLETED", "FAILED"}
    assert len(oracle.trials) == 15


@pytest.mark.parametrize(
    "problem, variables, reference",
    [
        (pareto_oracle.zdt1, 6, [1.1, 7.0]),
        (pareto_oracle.dtlz2, 6, [2.0, 2.0, 2.0]),
    ],
)
def test_pareto_covers_more_than_random_and_latin_hypercube(
    problem, variables, reference, tmp_path
):
    volumes = {
        spec: [
            pareto.hypervolume(
                pareto_oracle.search(
                    spec,
                    problem,
                    variables,
                    50,
                    seed,
                    tmp_path / f"{number}_{seed}",
                ),
                reference,
            )
            for seed in (1, 2)
        ]
        for number, spec in enumerate(("random", "latin_hypercube", "pareto"))
    }
    assert np.mean(volumes["pareto"]) > np.max(volumes["random"])
    assert np.mean(volumes["pareto"]) > np.max(volumes["latin_hypercube"])


@pytest.mark.parametrize(
    "spec, message",
    [
        ("pareto(sampler='cma')", "must be one of 'tpe', 'nsga2'"),
        ("pareto(samples='tpe')", "Unknown keyword.*sampler"),
        ("latin_cube", "Unknown oracle.*Did you mean 'latin_hypercube'"),
    ],
)
def test_bad_oracles_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        searches.build(spec, ["f"], 3, keras_tuner.HyperParameters())


def test_the_oracles_are_known_by_name():
    assert set(oracles.names()) == {
        "bayesian",
        "grid",
        "hyperband",
        "latin_hypercube",
        "pareto",
        "random",
    }
