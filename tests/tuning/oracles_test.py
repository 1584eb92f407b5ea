import keras_tuner
import numpy as np
import pytest

from benchmarks import pareto_oracle
from cb.errors import InputError
from cb.tuning import oracles
from cb.tuning import pareto
from tests.tuning import searches

GP, TPE = "pareto(sampler='gp')", "pareto(sampler='tpe')"
OURS = ("latin_hypercube", GP, TPE, "pareto(sampler='nsga2', population=4)")


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


@pytest.mark.parametrize("spec, trials", [(TPE, 60), (GP, 30)])
def test_points_that_break_a_constraint_are_behind_and_avoided(
    spec, trials, tmp_path
):
    space = keras_tuner.HyperParameters()
    space.Float("size", 1.0, 10.0)
    oracle = searches.build(
        spec, ["error", "cost"], trials, space, constraints={"cost": 4.0}
    )

    def function(values):
        # As for a run that was not trained because of its cost.
        error = 1 / values["size"] if values["size"] <= 4.0 else np.inf
        return {"error": error, "cost": values["size"]}

    search = searches.Search(oracle, function, tmp_path)
    search.search()
    costs = np.array([values["size"] for values in search.tried])
    assert np.mean(costs[trials // 2 :] <= 4.0) > np.mean(costs[:10] <= 4.0)
    front = [
        trial.hyperparameters["size"]
        for trial in oracle.get_best_trials(int(np.sum(costs <= 4.0)))
    ]
    assert max(front) <= 4.0


def test_a_constraint_on_what_is_not_measured_is_refused(tmp_path):
    space = keras_tuner.HyperParameters()
    space.Float("size", 1.0, 10.0)
    oracle = searches.build(
        "pareto", ["error"], 3, space, constraints={"flops": 4.0}
    )
    search = searches.Search(
        oracle, lambda values: {"error": 1.0, "inference_flops": 9.0}, tmp_path
    )
    with pytest.raises(InputError, match="`flops`.*'error', 'inference_flops'"):
        search.search()


@pytest.mark.parametrize("spec", [GP, TPE, "pareto(startup=2)"])
def test_an_exhausted_space_ends_the_search(spec, tmp_path):
    space = keras_tuner.HyperParameters()
    space.Choice("a", [1, 2, 3])
    oracle = searches.build(spec, ["f"], 50, space)
    search = searches.Search(oracle, lambda v: {"f": float(v["a"])}, tmp_path)
    search.search()
    assert sorted(values["a"] for values in search.tried) == [1, 2, 3]


@pytest.mark.parametrize("spec", [GP, TPE])
def test_failed_trials_do_not_end_the_search(spec, tmp_path):
    def function(values):
        if values["kind"] == "deep":
            raise ValueError("no such model")
        return two_objectives(values)

    oracle = searches.build(spec, ["error", "cost"], 15, conditional_space())
    searches.Search(oracle, function, tmp_path).search()
    states = {trial.status for trial in oracle.trials.values()}
    assert states == {"COMPLETED", "FAILED"}
    assert len(oracle.trials) == 15


@pytest.mark.parametrize("spec", [GP, TPE])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_objectives_that_are_not_finite_are_failures(spec, bad, tmp_path):
    def function(values):
        found = two_objectives(values)
        # As of a training that diverged.
        return {**found, "error": bad if values["noisy"] else found["error"]}

    oracle = searches.build(spec, ["error", "cost"], 24, conditional_space())
    search = searches.Search(oracle, function, tmp_path)
    search.search()
    for trial in oracle.trials.values():
        noisy = trial.hyperparameters["noisy"]
        assert trial.status == ("FAILED" if noisy else "COMPLETED")
        assert ("Not finite" in str(trial.message)) == noisy
    late = [values["noisy"] for values in search.tried[12:]]
    assert spec == TPE or sum(late) <= 2
    # Another process is told the same.
    again = searches.build(spec, ["error", "cost"], 25, conditional_space())
    more = searches.Search(again, function, tmp_path)
    more.search()
    assert len(more.tried) == 1


def test_parameters_under_a_condition_are_learned(tmp_path):
    space = keras_tuner.HyperParameters()
    space.Choice("kind", ["plain", "tuned"])
    with space.conditional_scope("kind", ["tuned"]):
        space.Float("rate", 1e-4, 1.0, sampling="log")

    def function(values):
        if "rate" not in values:
            return {"f": 1.0}
        return {"f": abs(np.log10(values["rate"]) + 2.7)}

    oracle = searches.build(GP, ["f"], 25, space)
    search = searches.Search(oracle, function, tmp_path)
    search.search()
    late = search.tried[15:]
    assert [values["kind"] for values in late].count("tuned") >= 8
    assert min(function(values)["f"] for values in late) < 0.1


def workers(folder, asked=0):
    """Return an oracle after 12 trials, with points of workers under way."""
    oracle = searches.build(GP, ["error", "cost"], 30, conditional_space())
    searches.Search(oracle, two_objectives, folder, stop_after=12)
    while len(oracle.end_order) < 12:
        trial = oracle.create_trial("first")
        found = two_objectives(trial.hyperparameters.values)
        oracle.update_trial(trial.trial_id, {**found, "multi_objective": 0.0})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return oracle, [
        oracle.create_trial(f"worker_{number}").hyperparameters.values
        for number in range(asked)
    ]


def test_points_under_way_count(tmp_path):
    oracle, points = workers(tmp_path / "a", 4)
    assert len({str(values) for values in points}) == 4
    # One worker more asks for what four and a reloaded oracle's fifth get.
    again = searches.build(GP, ["error", "cost"], 30, conditional_space())
    again._set_project_dir(*oracle._project_dir.rsplit("/", 1))
    again.reload()
    names = [again.create_trial(f"w{n}").trial_id for n in range(4)]
    assert sorted(names) == ["12", "13", "14", "15"]
    fifth = again.create_trial("w5").hyperparameters.values
    assert fifth == oracle.create_trial("fifth").hyperparameters.values
    assert fifth not in points


def test_auto_chooses_by_counts_and_says_so(tmp_path, capsys):
    def tried(spec, folder, **changed):
        oracle = searches.build(
            spec, ["error", "cost"], 14, conditional_space()
        )
        found = searches.Search(oracle, two_objectives, tmp_path / folder)
        found.search()
        return found.tried

    auto = tried("pareto", "auto")
    assert capsys.readouterr().out.count("Sampler: gp, with 2 objectives") == 1
    assert auto == tried(GP, "gp")
    many = keras_tuner.HyperParameters()
    for number in range(41):
        many.Float(f"x{number}", 0.0, 1.0)
    oracle = searches.build("pareto", ["f"], 3, many)
    searches.Search(oracle, lambda v: {"f": v["x0"]}, tmp_path / "m").search()
    assert "Sampler: tpe, with 1 objectives" in capsys.readouterr().out


@pytest.mark.parametrize(
    "problem, variables, reference",
    [
        (pareto_oracle.zdt1, 6, (1.1, 7.0)),
        (pareto_oracle.dtlz2, 6, (2.0, 2.0, 2.0)),
    ],
)
def test_pareto_covers_more_than_random_and_latin_hypercube(
    problem, variables, reference, tmp_path
):
    made = pareto_oracle.continuous(problem, variables, reference)

    def covered(spec, trials, seed):
        folder = tmp_path / f"{len([*tmp_path.iterdir()])}"
        found = pareto_oracle.search(spec, made, trials, seed, folder)
        return pareto.hypervolume(found, reference)

    others = [
        covered(spec, 50, seed)
        for spec in ("random", "latin_hypercube")
        for seed in (1, 2)
    ]
    sampled = [covered(TPE, 50, seed) for seed in (1, 2)]
    assert np.mean(sampled) > max(others)
    # Of fewer trials, more than all of them.
    assert covered(GP, 25, 1) > max(*others, *sampled)


@pytest.mark.parametrize(
    "spec, message",
    [
        (
            "pareto(sampler='cma')",
            "must be one of 'auto', 'gp', 'tpe', 'nsga2'",
        ),
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
