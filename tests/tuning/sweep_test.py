import csv
import json

import numpy as np
import optuna
import pytest
import yaml

from cb.tuning import pareto
from cb.tuning.results import Results

CHEAP = ("inference_flops", "training_flops")


def rows(folder):
    return Results(folder / "results.csv").read()


@pytest.mark.parametrize("oracle", ["random", "latin_hypercube", "grid"])
def test_searches_train_their_trials(run_sweep, space, oracle):
    folder = run_sweep(space=space, oracle=oracle, max_trials=2, pictures=True)
    found = rows(folder)
    assert [row["status"] for row in found] == ["complete"] * 2
    for row in found:
        assert 0.0 <= row["Error"] <= 1.0
        summary = folder / "runs" / row["trial"] / "run_seed_0/summary.json"
        assert json.loads(summary.read_text())["epochs"] == 1
    assert (folder / "report/index.html").is_file()
    assert [*folder.glob("report/front*.png")]
    assert [*folder.glob("tensorboard/*/events*")]


def test_what_is_searched_is_said_first_and_trials_are_stored(
    run_sweep, space, tmp_path, capsys
):
    storage = f"sqlite:///{tmp_path}/study.db"
    for trials in (2, 3):
        folder = run_sweep(
            space=space,
            objectives=CHEAP,
            max_trials=trials,
            storage=storage,
            reference=(1e6, 1e12),
        )
        # A page without the numbers of the last trials is written meanwhile.
        assert (folder / "report/index.html").stat().st_size < 5e6
    printed = capsys.readouterr().out
    before, _, after = printed.partition("trial 1/2")
    assert "searches for the Pareto front of inference_flops" in before
    assert "  sparsity            0 to 0.99 if algorithm=set|rigl" in before
    assert "reallocation.every  1 to 1e+06, log scale if" in before
    assert "2 trials. How long one takes is known after the first." in before
    assert f"optuna-dashboard {storage}" in before
    assert "3 trials, 2 of them done. One took" in after
    assert all(len(line) <= 80 for line in before.splitlines()[:-2])
    study = optuna.load_study(study_name="sweep", storage=storage)
    assert [trial.values for trial in study.trials] == [
        [row["Inference"], row["Training"]] for row in rows(folder)
    ]


def test_columns_are_those_of_the_paper(run_sweep, space):
    folder = run_sweep(space=space, objectives=CHEAP, max_trials=1)
    with open(folder / "results.csv", newline="") as file:
        header = next(csv.reader(file))
    published = ["Error", "Inference", "Training", "algorithm", "sparsity"]
    published += ["reallocation.every", "learning_rate"]
    published += ["config_id", "seed", "fold"]
    assert header[: len(published)] == published


def test_cheap_objectives_need_no_training(run_sweep, space):
    folder = run_sweep(space=space, objectives=CHEAP, max_trials=8)
    found = rows(folder)
    assert len(found) == 8
    assert not [*folder.glob("runs/*/run*")]
    for row in found:
        # 64 inputs, 8 units, 10 classes: two operations a weight left, and
        # bias and activation.
        dense = 2 * (64 * 8 + 8 * 10)
        left = 1.0 - row.get("sparsity", 0.0)
        assert row["Inference"] == pytest.approx(dense * left, abs=80)
        assert "Error" not in row
        # An epoch of 1294 examples in batches of 500 has two steps.
        if row.get("reallocation.every", 0) > 2:
            assert f"from {row['reallocation.every']} to 2" in row["note"]
            assert "every=2" in row["command"]


@pytest.mark.parametrize(
    "oracle, trials",
    # Of three epochs: three trials of one epoch, the best of them and two
    # others of three.
    [("bayesian", 4), ("hyperband(factor=3)", 6), ("grid", 4), ("pareto", 4)],
)
def test_every_oracle_searches_one_objective(
    run_sweep, space, oracle, trials, capsys
):
    folder = run_sweep(
        space=space,
        oracle=oracle,
        objectives=CHEAP[:1],
        max_trials=4 if trials == 4 else None,
        given={"epochs": 3},
        pictures=True,
    )
    found = rows(folder)
    assert len(found) == trials
    assert f"trial {trials}/{trials}" in capsys.readouterr().out
    assert {row["status"] for row in found} == {"complete"}


def test_a_sweep_in_a_folder_of_any_name_is_resumed(run_sweep, space):
    found = {}
    for directory in ("plain", "a:b [16]*?\\d {x}~é"):
        for trials in (2, 4):
            folder = run_sweep(
                space=space,
                oracle="random",
                objectives=CHEAP,
                max_trials=trials,
                directory=directory,
            )
        found[directory] = [
            (row["trial"], row["learning_rate"]) for row in rows(folder)
        ]
    first, second = found.values()
    assert first == second
    assert [trial for trial, _ in first] == ["0", "1", "2", "3"]


def test_configurations_run_with_every_seed(run_sweep, space):
    folder = run_sweep(
        space=space,
        oracle="random",
        objectives=CHEAP,
        max_trials=2,
        seeds=[4, 5],
    )
    assert [(row["trial"], row["seed"]) for row in rows(folder)] == [
        ("0", 4),
        ("0", 5),
        ("1", 4),
        ("1", 5),
    ]


def test_constraints_leave_trainings_out(run_sweep, space):
    folder = run_sweep(
        space=space,
        oracle="random",
        constraints=["inference_flops<=100"],
        max_trials=2,
    )
    for row in rows(folder):
        assert row["status"] == "infeasible"
        assert "inference_flops" in row["note"]
    assert not [*folder.glob("runs/*/run*")]


def test_reproduction_is_dense_and_two_methods_at_fifteen_sparsities(
    run_sweep, space
):
    folder = run_sweep(
        experiment="reproduction", space=space, objectives=CHEAP, one_of=8
    )
    found = rows(folder)
    assert len(found) == 31
    assert found[0]["algorithm"] == "no_prune"
    assert "sparsity" not in found[0]
    for method in ("set", "rigl"):
        chosen = [row for row in found if row["algorithm"] == method]
        assert len(chosen) == 15
        assert {row["reallocation.every"] for row in chosen} == {10}
        assert chosen[0]["sparsity"] == 0.1
        assert chosen[-1]["sparsity"] == 0.99


def test_points_that_all_run_are_not_raced(run_sweep, space, monkeypatch):
    monkeypatch.setattr("cb.tuning.racing.loses", lambda *_: True)
    folder = run_sweep(
        experiment="reproduction",
        space=space,
        objectives=CHEAP,
        seeds=[0, 1, 2],
        one_of=1000,
    )
    found = rows(folder)
    assert len(found) == 3 * 31
    assert {row["status"] for row in found} == {"complete"}


def test_evaluations_build_on_the_fronts_of_earlier_sweeps(run_sweep, space):
    searched = run_sweep(space=space, oracle="random", max_trials=2)
    points = np.array(
        [
            [row[n] for n in ("Error", "Inference", "Training")]
            for row in rows(searched)
        ]
    )
    layers = pareto.layers(points)

    again = run_sweep(
        experiment="optimization_evaluation",
        space=space,
        earlier=[str(searched)],
        directory="again",
    )
    expected = [
        row["config_id"]
        for row, layer in zip(rows(searched), layers, strict=True)
        if layer < 2
    ]
    assert [row["config_id"] for row in rows(again)] == expected
    assert all("Error" in row for row in rows(again))
    # All examples train: nothing is chosen here.
    assert "--validation_fraction=0.0" in rows(again)[0]["command"]

    evaluated = run_sweep(
        experiment="evaluation",
        space=space,
        earlier=[str(searched)],
        objectives=CHEAP,
        directory="evaluated",
        one_of=8,
    )
    assert len(rows(evaluated)) == 17 * np.sum(layers == 0)


def test_the_optimization_races_over_folds(run_sweep, space):
    folder = run_sweep(
        experiment="optimization",
        space=space,
        folds=["1/3", "2/3", "3/3"],
        max_trials=3,
        pictures=True,
    )
    found = rows(folder)
    by_trial = {}
    for row in found:
        by_trial.setdefault(row["trial"], []).append(row)
    assert [row["fold"] for row in by_trial["0"]] == ["1/3", "2/3", "3/3"]
    for runs in by_trial.values():
        lost = [row["status"] == "outraced" for row in runs]
        assert not any(lost[:-1])
        assert len(runs) == 3 or lost[-1]
    # Folds are disjoint parts: no two runs score the same examples.
    assert len({row["Error"] for row in by_trial["0"]}) > 1


def test_the_random_search_is_a_design_on_the_first_fold(run_sweep, space):
    folder = run_sweep(experiment="random_search", space=space, max_trials=2)
    assert [row["fold"] for row in rows(folder)] == ["1/5", "1/5"]


def test_a_failing_trial_is_recorded_and_the_rest_goes_on(run_sweep, tmp_path):
    file = tmp_path / "failing.yaml"
    search = {"learning_rate": {"type": "choice", "values": [1e30, 0.1]}}
    file.write_text(yaml.safe_dump({"fixed": {"epochs": 1}, "search": search}))
    folder = run_sweep(space=str(file), oracle="grid", max_trials=2)
    failed, complete = rows(folder)
    assert failed["status"] == "failed"
    assert "no longer finite" in failed["note"]
    assert complete["status"] == "complete"


def test_a_finished_sweep_adds_nothing_and_a_longer_one_goes_on(
    run_sweep, space
):
    folder = run_sweep(space=space, objectives=CHEAP, max_trials=3)
    before = (folder / "results.csv").read_bytes()
    run_sweep(space=space, objectives=CHEAP, max_trials=3)
    assert (folder / "results.csv").read_bytes() == before
    run_sweep(space=space, objectives=CHEAP, max_trials=5)
    after = (folder / "results.csv").read_bytes()
    assert after.startswith(before)
    assert len(rows(folder)) == 5
