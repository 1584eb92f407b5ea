"""Runs of changed configurations that share data and model."""

import pytest

from cb import distribute
from cb.config import Config
from cb.runs.directory import RunDirectory
from cb.training import assembly
from cb.training.run import TrainingRun


def test_a_changed_run_shares_data_and_model_and_leaves_the_first(tmp_path):
    config, sources = assembly.resolve(
        Config(model="mlp(units=(8,))", strategy="none", epochs=3), {}
    )
    directory = RunDirectory(str(tmp_path / "first"))
    strategy = distribute.build("none")
    run = TrainingRun(config, sources, strategy, directory, lambda: False)
    with pytest.raises(AttributeError):
        _ = run.model
    model = run.build()
    other = run.replaced(run_dir=str(tmp_path / "other"), epochs=1)
    assert other.data is run.data and other.model is model
    assert other.directory.path == tmp_path / "other"
    assert (other.config.epochs, run.config.epochs) == (1, 3)
    assert (run.directory, run.config) == (directory, config)
    assert other.replaced(epochs=2).directory is other.directory
