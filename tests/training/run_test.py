"""Runs of changed configurations that share data and model."""

import dataclasses

import pytest

from cb import distribute
from cb.config import Config
from cb.errors import InputError
from cb.runs.directory import RunDirectory
from cb.training import assembly
from cb.training.run import TrainingRun
from cb.training.train import train


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


@pytest.mark.parametrize("left", ["damaged", "best"])
def test_a_run_is_begun_again_only_where_nothing_was_to_resume(left, tmp_path):
    """A kill can leave the best checkpoint alone, but none that is damaged."""
    flags = {"model": "mlp(units=(8,))", "strategy": "none", "batch_size": 500}
    config = Config(**flags, epochs=2, run_dir=str(tmp_path / "run"))
    train(config, {})
    run = RunDirectory(config.run_dir)
    for file in run.checkpoints.glob("*.npz"):
        if file.stem in ("last", "previous"):
            file.write_bytes(b"damaged") if left == "damaged" else file.unlink()
    run.summary_file.unlink()
    if left == "damaged":
        with pytest.raises(InputError, match="intact checkpoint to resume"):
            train(config, {})
        assert (run.checkpoints / "best.npz").exists()
    else:
        assert train(config, {})["epochs"] == 2


@pytest.mark.parametrize("left", [["best", "initial"], []])
def test_a_finished_run_without_its_last_checkpoint_is_not_begun_again(
    left, tmp_path
):
    flags = {"model": "mlp(units=(8,))", "strategy": "none", "batch_size": 500}
    config = Config(**flags, epochs=1, run_dir=str(tmp_path / "run"))
    summary = train(config, {})
    run = RunDirectory(config.run_dir)
    for file in run.checkpoints.glob("*.npz"):
        if file.stem not in left:
            file.unlink()
    metrics = run.metrics_file.read_bytes()
    longer = dataclasses.replace(config, epochs=2)
    for _ in range(2):
        with pytest.raises(InputError, match="Received: .*(best|no checkpoi)"):
            train(longer, {})
    assert run.metrics_file.read_bytes() == metrics
    assert run.read_summary() == summary
