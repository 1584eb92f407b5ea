"""Models of others are scored on a data set that they fit, or refused."""

import keras
import numpy as np
import pytest

from cb import datasets
from cb.errors import InputError
from cb.evaluation.saved_model import evaluate_saved_model


def exported(folder, *outputs, activation=None):
    """Export a model of digits with some outputs."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    found = {
        name: keras.layers.Dense(units, activation, name=name)(x)
        for name, units in outputs
    }
    only = len(found) == 1
    outputs = next(iter(found.values())) if only else found
    model = keras.Model(inputs, outputs)
    model.export(folder, verbose=False)
    return model


def evaluate(folder):
    return evaluate_saved_model(str(folder), "digits", None, 100)


def test_scores_are_those_of_the_model(tmp_path):
    model = exported(tmp_path / "m", ("logits", 10))
    test = datasets.load("digits", None).test
    features = np.asarray(test.features, "float32") / 255
    expected = np.mean(np.argmax(model(features), axis=1) == test.labels)
    assert evaluate(tmp_path / "m")["accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize("classes", [1, 3, 12])
def test_as_many_scores_as_classes_are_needed(classes, tmp_path):
    exported(tmp_path / "m", ("logits", classes), activation="sigmoid")
    shape = rf"shape \({classes},\)"
    with pytest.raises(InputError, match=f"each of the 10 classes.*{shape}"):
        evaluate(tmp_path / "m")


def test_which_of_two_outputs_is_scored_is_not_guessed(tmp_path):
    exported(tmp_path / "m", ("logits", 10), ("features", 10))
    with pytest.raises(InputError, match="one output.*'features', 'logits'"):
        evaluate(tmp_path / "m")
