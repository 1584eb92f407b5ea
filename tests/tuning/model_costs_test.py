import re

import keras
import keras_tuner
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.tuning import model_costs
from tests.commands import ROOT


def build_model(hp):
    """Build a model as keras-tuner's guide does."""
    model = keras.Sequential([keras.Input((8,))])
    model.add(
        keras.layers.Dense(hp.Int("units", 4, 64, step=4), activation="relu")
    )
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(0.25))
    model.add(keras.layers.Dense(3, activation="softmax"))
    model.compile(
        keras.optimizers.Adam(hp.Float("rate", 1e-4, 1e-2, sampling="log")),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def data():
    random = np.random.default_rng(0)
    x = random.standard_normal((64, 8)).astype("float32")
    return x, (x.sum(axis=1) > 0).astype("int32") + (x[:, 0] > 1)


def search(objectives, folder, build=build_model, trials=2, **arguments):
    oracle = cb.tuning.ParetoOracle(
        objective=objectives, max_trials=trials, seed=1, **arguments
    )
    tuner = keras_tuner.Tuner(oracle, build, directory=str(folder))
    x, y = data()
    tuner.search(x, y, epochs=2, validation_data=(x, y), verbose=0)
    return tuner


def test_costs_are_filled_in_for_an_ordinary_model(tmp_path):
    names = ("parameters", "inference_flops", "storage_bytes", "latency")
    objectives = [
        keras_tuner.Objective("val_accuracy", "max"),
        *[keras_tuner.Objective(name, "min") for name in names],
    ]
    tuner = search(objectives, tmp_path)
    best = tuner.oracle.get_best_trials(2)
    assert len(best) == 2
    for trial in best:
        units = trial.hyperparameters["units"]
        found = {name: trial.metrics.get_best_value(name) for name in names}
        assert found["parameters"] == 8 * units + units + 3 * units + 3
        assert found["inference_flops"] >= 2 * (8 * units + 3 * units)
        assert found["storage_bytes"] > 0
        assert 0 < found["latency"] < 1
        model = tuner.hypermodel.build(trial.hyperparameters)
        assert found["parameters"] == model.count_params()
    # So that the best epoch of the training is kept, not the last.
    assert tuner.oracle.objective.has_value({"val_accuracy": 0.5})


def test_costs_of_sparse_models_are_those_after_the_training(tmp_path):
    def build(hp):
        model = cb.sparsify(build_model(hp), 0.5)
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    tuner = search(
        ["val_loss", keras_tuner.Objective("parameters", "min")],
        tmp_path,
        build,
        trials=1,
    )
    (trial,) = tuner.oracle.get_best_trials()
    units = trial.hyperparameters["units"]
    found = trial.metrics.get_best_value("parameters")
    assert found < 0.6 * (11 * units) + units + 3


def test_constraints_on_costs_are_measured(tmp_path):
    tuner = search(
        "val_loss", tmp_path, trials=3, constraints={"parameters": 300.0}
    )
    for trial in tuner.oracle.trials.values():
        assert trial.status == "COMPLETED"
        units = trial.hyperparameters["units"]
        (excess,) = tuner.oracle._excess(trial).values()
        assert excess == pytest.approx((12 * units + 3) / 300 - 1)


def test_models_that_fit_returns_a_dict_for_are_filled_in_too(tmp_path):
    class Model(keras_tuner.HyperModel):
        def build(self, hp):
            return build_model(hp)

        def fit(self, hp, model, x, y, **kwargs):
            return {"mine": float(hp.get("units")), "multi_objective": 0.0}

    objectives = [
        keras_tuner.Objective("mine", "max"),
        keras_tuner.Objective("parameters", "min"),
    ]
    oracle = search(objectives, tmp_path, Model()).oracle
    for trial in oracle.trials.values():
        units = trial.metrics.get_best_value("mine")
        assert trial.metrics.get_best_value("parameters") == 12 * units + 3


def test_other_oracles_are_left_alone(tmp_path):
    oracle = keras_tuner.oracles.RandomSearchOracle("val_loss", max_trials=1)
    tuner = keras_tuner.Tuner(oracle, build_model, directory=str(tmp_path))
    x, y = data()
    tuner.search(x, y, validation_data=(x, y), verbose=0)
    (trial,) = oracle.trials.values()
    assert "parameters" not in trial.metrics.metrics


def test_operations_that_cannot_be_counted_are_named():
    inputs = keras.Input((4,))
    outputs = keras.layers.Lambda(lambda x: keras.ops.sort(x))(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(outputs))
    assert model_costs.measured(model, ["parameters"]) == {"parameters": 10}
    with pytest.raises(InputError, match="can be counted.*Sort|TopK"):
        model_costs.measured(model, ["inference_flops"])


def test_the_example_of_the_page_runs_as_pasted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "sweeps.md").read_text("utf-8")
    (example,) = [
        code
        for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        if "ParetoOracle" in code
    ]
    names = {}
    exec(compile(example, "docs/sweeps.md", "exec"), names)
    front = names["tuner"].get_best_hyperparameters(3)
    assert len(front) == 3
