"""Runs on CSR kernels are masked runs to everyone but the trainer."""

import csv
import json

import numpy as np
import pytest

from cb.runs.checkpoint import CheckpointFolder
from cb.runs.directory import RunDirectory
from tests.commands import run_code

pytestmark = pytest.mark.slow

SCRIPT = """
import dataclasses
from cb.config import Config
from cb.evaluation.opened_run import OpenedRun
from cb.evaluation.scores import evaluate_scores
from cb.training.train import train
flags = {
    "model": "mlp(units=(48, 32))",
    "sparsity": 0.85,
    "reallocation": "rigl(every=9)",
    "epochs": 3,
    "validation_fraction": 0.2,
    "weight_distance": 5,
}
csr = "csr(max_density=1.0, min_size=1000)"
for name, change in {
    "masked": {},
    "csr": {"kernels": csr},
    "from_csr": {"initialize_from": "csr"},
    "from_masked": {"initialize_from": "masked", "kernels": csr},
}.items():
    if "initialize_from" in change:
        change |= {"epochs": 1, "learning_rate": 1e-9, "reallocation": "static"}
    config = Config(**{**flags, **change, "run_dir": name})
    train(config, dict.fromkeys(config.as_dict(), "flag"))
for name in ("masked", "csr"):
    evaluate_scores(OpenedRun(name, "all"))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Train and evaluate; return a function from a name to a run's folder."""
    folder = tmp_path_factory.mktemp("runs")
    run_code(SCRIPT, folder=folder)
    return lambda name: RunDirectory(str(folder / name))


def rows(file):
    with open(file, newline="") as opened:
        table = list(csv.DictReader(opened))
    return [row.pop("value") for row in table], table


def last(run):
    return CheckpointFolder(run.checkpoints).load("last").arrays


def test_metrics_are_those_of_the_masked_run(runs):
    masked, csr = (rows(runs(name).metrics_file) for name in ("masked", "csr"))
    assert masked[1] == csr[1]
    np.testing.assert_allclose(
        np.array(csr[0], float), np.array(masked[0], float), rtol=1e-2
    )
    for one, other, row in zip(masked[0], csr[0], csr[1], strict=True):
        if row["name"].partition("/")[0] in ("dropped", "grown", "density"):
            assert one == other


def test_summary_and_costs_are_those_of_the_masked_run(runs):
    masked, csr = (runs(name).read_summary() for name in ("masked", "csr"))
    assert csr["csr_layers"] == ["hidden_1", "hidden_2"]
    for key in ("layers", "parameters", "parameters_dense", "training"):
        assert csr[key] == masked[key]
    for summary in (csr, masked):
        # It holds names that are longer or shorter.
        del summary["costs"]["export_bytes"]
    assert json.dumps(csr["costs"]) == json.dumps(masked["costs"])


def first_layer(arrays):
    """Return the arrays of the first layer with a kernel, by name."""
    names = ("kernel", "values")
    (layer, *_) = [k.rpartition("/")[0] for k in arrays if k.endswith(names)]
    prefix = f"{layer}/"
    return {
        key.removeprefix(prefix): value
        for key, value in arrays.items()
        if key.startswith(prefix)
    }


def test_a_checkpoint_holds_what_is_active(runs):
    active = np.count_nonzero(first_layer(last(runs("masked")))["mask"])
    arrays = last(runs("csr"))
    layer = first_layer(arrays)
    assert set(layer) == {"values", "indices", "starts", "bias"}
    assert layer["values"].shape == layer["indices"].shape == (active,)
    sizes = [v.size for k, v in arrays.items() if k.startswith("optimizer/")]
    assert sizes.count(active) == 1


def test_scores_of_its_checkpoints_are_those_of_training(runs):
    for name in ("masked", "csr"):
        values, table = rows(runs(name).evaluation_file)
        scores = {
            (row["checkpoint"], row["name"]): float(value)
            for value, row in zip(values, table, strict=True)
            if row["split"] == "test"
        }
        trained = runs(name).read_summary()["test"]
        for key, value in trained.items():
            assert scores["last", key] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    "masked, csr", [("from_csr", "csr"), ("masked", "from_masked")]
)
def test_runs_start_from_weights_and_masks_of_either_kind(runs, masked, csr):
    layer = first_layer(last(runs(masked)))
    values = first_layer(last(runs(csr)))["values"]
    active = layer["kernel"].T[layer["mask"].T != 0]
    # Steps of a training without a learning rate, nearly.
    np.testing.assert_allclose(active, values, atol=1e-6)
