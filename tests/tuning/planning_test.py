"""None of these tests imports TensorFlow: they are quick."""

import pytest

from cb.errors import InputError
from cb.tuning.plan import FixedConfiguration
from cb.tuning.planning import SweepSettings
from cb.tuning.planning import build_plan


def test_the_values_of_a_file_are_given(tmp_path):
    """They are neither searched nor overwritten by those of the space."""
    file = tmp_path / "mine.yaml"
    file.write_text("dataset: mnist\nepochs: 20\nsparsity: 0.95\n")
    sweep = SweepSettings(directory="sweep")
    searched = build_plan(sweep, FixedConfiguration()).space.names
    assert "sparsity" in searched
    plan = build_plan(sweep, FixedConfiguration(str(file)))
    config, _ = plan.config({})
    assert (config.dataset, config.epochs) == ("mnist", 20)
    assert config.sparsity == 0.95
    assert {*plan.space.names} == {*searched} - {"sparsity"}


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"max_trials": 3}, "`max_trials` cannot be given.*max_trials=3"),
        ({"space": "electricity"}, "`epochs` cannot be searched"),
    ],
)
def test_hyperband_decides_trials_and_epochs(settings, message):
    sweep = SweepSettings(
        directory="sweep",
        oracle="hyperband",
        objectives=["val_error"],
        **settings,
    )
    with pytest.raises(InputError, match=message):
        build_plan(sweep, FixedConfiguration())


@pytest.mark.parametrize(
    "given, settings, message",
    [
        ({"reallocation": "rigl"}, ["reallocation.evry=5"], "mean 'every'"),
        ({}, ["reallocation.evry=5"], "mean 'every'"),
        ({"dataset": "digits"}, ["dataset.pth=x"], "keyword in data set"),
        ({}, ["learning_rate=-1"], "`learning_rate` must be"),
    ],
)
def test_keywords_are_checked_before_anything_slow(given, settings, message):
    sweep = SweepSettings(directory="sweep")
    with pytest.raises(InputError, match=message):
        build_plan(sweep, FixedConfiguration(None, given, settings))
