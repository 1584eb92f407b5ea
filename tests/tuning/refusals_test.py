"""Sweeps that are refused before anything is trained or written."""

import pytest
import yaml

from cb.errors import InputError
from tests.tuning.sweep_test import CHEAP


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"experiment": "optimisation"}, "mean 'optimization'"),
        ({"oracle": "bayesian"}, "supports one objective"),
        (
            {
                "oracle": "bayesian",
                "objectives": ["val_error"],
                "constraints": ["inference_flops<=100"],
            },
            "does not support constraints",
        ),
        ({"objectives": ["test_error"]}, "must not choose by test examples"),
        (
            {"constraints": ["test_error<=0.1"]},
            "must not choose by test examples",
        ),
        ({"folds": ["1/3", "1/3"]}, "`folds` must not have duplicates"),
        ({"folds": ["1/3", "4/3"]}, "`fold` must be a fold from 1 on"),
        ({"given": {"reallocation": "set"}}, "`reallocation` cannot be given"),
        (
            {"experiment": "reproduction", "given": {"sparsity": 0.5}},
            "`sparsity` cannot be given",
        ),
        ({"experiment": "reproduction"}, "`max_trials` cannot be given"),
        (
            {
                "experiment": "reproduction",
                "oracle": "random",
                "max_trials": None,
            },
            "`oracle` cannot be given",
        ),
        ({"given": {"fold": "2/5"}}, "`fold` cannot.*of `--folds`"),
        ({"settings": ["fold='2/5'"]}, "`fold` cannot.*of `--folds`"),
        ({"given": {"run_dir": "mine"}}, "`run_dir` cannot.*`--directory`"),
        ({"given": {"name": "mine"}}, "`name` cannot.*`--directory`"),
        ({"experiment": "evaluation"}, "needs earlier sweeps"),
        ({"racing": "halvin"}, "mean 'halving'"),
        (
            {"racing": "halving", "folds": ["1/3", "2/3"]},
            "on one fold and seed",
        ),
        ({"racing": "halving", "seeds": [0, 1]}, "on one fold and seed"),
        ({"racing": "halving", "oracle": "hyperband"}, "chooses the epochs"),
        ({"racing": "halving", "objectives": CHEAP}, "nothing is trained"),
        ({"earlier": ["a"]}, "cannot use earlier sweeps"),
        (
            {"experiment": "evaluation", "earlier": ["nowhere"]},
            "folders of sweeps of space",
        ),
        ({"given": {"validation_fraction": 0.0}}, "need `--folds`"),
        ({"given": {"model": "autosparse_mpl"}}, "mean 'autosparse_mlp'"),
        ({"given": {"strategy": "multi_worker"}}, "sweep is on one machine"),
        (
            {"given": {"worker_hosts": "a:1,b:1"}},
            "`worker_hosts` cannot be used",
        ),
        ({"given": {"worker_index": 0}}, "`worker_index` cannot be used"),
    ],
)
def test_bad_sweeps_are_refused_before_anything_is_written(
    run_sweep, space, tmp_path, arguments, message
):
    with pytest.raises(InputError, match=message):
        run_sweep(space=space, **{"max_trials": 1, **arguments})
    assert not (tmp_path / "sweep").exists()


def test_limits_that_a_part_refuses_are_found_first(run_sweep, tmp_path):
    file = tmp_path / "wrong.yaml"
    search = {"model.layers": {"type": "int", "min": 0, "max": 3}}
    fixed = {"model": "autosparse_mlp(first=8, middle=8, last=8)"}
    file.write_text(yaml.safe_dump({"search": search, "fixed": fixed}))
    with pytest.raises(InputError, match="`model.layers`.*cannot be 0"):
        run_sweep(space=str(file), max_trials=1)


def test_models_that_do_not_fit_the_data_are_found_first(run_sweep, tmp_path):
    file = tmp_path / "wrong.yaml"
    models = ["mlp(units=(8,))", "alexnet"]
    search = {"model": {"type": "choice", "values": models}}
    file.write_text(yaml.safe_dump({"search": search}))
    with pytest.raises(InputError, match="`model` .*cannot be 'alexnet'"):
        run_sweep(space=str(file), max_trials=1)


def test_evaluations_need_trials_that_were_trained(run_sweep, space):
    cheap = run_sweep(space=space, objectives=CHEAP, max_trials=2)
    with pytest.raises(InputError, match="trials that have Error, Inference"):
        run_sweep(
            experiment="evaluation",
            space=space,
            earlier=[str(cheap)],
            directory="again",
        )


def test_the_folder_of_another_sweep_is_refused(run_sweep, space, tmp_path):
    run_sweep(space=space, objectives=CHEAP, max_trials=1)
    with pytest.raises(InputError, match="holds another sweep.*oracle"):
        run_sweep(space=space, objectives=CHEAP, oracle="random", max_trials=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(InputError, match="which holds other files"):
        run_sweep(space=space, max_trials=1, directory="other")


def test_a_reference_point_has_a_number_for_each_objective(run_sweep, space):
    message = "`reference` must be a number for each of"
    with pytest.raises(InputError, match=message):
        run_sweep(space=space, objectives=CHEAP, reference=(1.0,))
