"""Schedules and optimizers in files of earlier versions."""

import keras
import numpy as np
import pytest

import cb.optimization.schedules  # noqa: F401 (registers its classes)
from cb.optimization.published_sgd import PublishedSGD
from cb.optimization.radam import RAdam
from cb.optimization.sequence import OptimizerSequence


@pytest.mark.parametrize(
    "name, config, module",
    [
        (
            "Warmup",
            {"schedule": 0.5, "steps": 4, "initial": 0.1},
            "large_batch",
        ),
        ("PerUpdate", {"schedule": "decay", "batches": 2}, "large_batch"),
        ("Later", {"schedule": "decay", "start": 3}, "succession"),
    ],
)
def test_schedules_of_earlier_versions_load(name, config, module):
    decay = keras.saving.serialize_keras_object(
        keras.optimizers.schedules.PiecewiseConstantDecay([4], [0.1, 0.01])
    )
    if config["schedule"] == "decay":
        config = {**config, "schedule": decay}
    saved = {
        "module": f"cb.optimization.{module}",
        "class_name": name,
        "config": config,
        "registered_name": f"cb>{name}",
    }
    loaded = keras.saving.deserialize_keras_object(saved)
    assert loaded.get_config() == config
    assert keras.saving.serialize_keras_object(loaded)["config"] == config
    assert keras.saving.get_registered_name(type(loaded)) == f"cb>{name}"
    assert np.isfinite(float(loaded(5)))


def test_sequences_of_earlier_versions_load():
    optimizers = [PublishedSGD(0.1), RAdam(0.2)]
    config = {
        "name": "succession",
        "optimizers": [
            keras.saving.serialize_keras_object(one) for one in optimizers
        ],
        "starts": [0, 5],
    }
    saved = {
        "module": "cb.optimization.succession",
        "class_name": "Succession",
        "config": config,
        "registered_name": "cb>Succession",
    }
    loaded = keras.optimizers.deserialize(saved)
    assert isinstance(loaded, OptimizerSequence)
    assert loaded.starts == [0, 5]
    assert loaded.get_config() == config
