"""A user's model is one file."""

import os

import keras
import numpy as np
import pytest

import cb
from cb import models
from cb.errors import InputError

SOURCE = '''
"""A model of a user."""

import keras

from cb.models import REGISTRY


@REGISTRY.register("{name}")
def build(input_shape, num_classes, width=4):
    """Build it."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(width, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(x))
'''


def write(folder, file, name):
    path = folder / f"{file}.py"
    path.write_text(SOURCE.format(name=name))
    return path


def test_a_file_outside_the_package_builds_and_trains(tmp_path):
    path = write(tmp_path, "outside", "outside_model")
    model = cb.sparsify(models.build(str(path), (5,), 3), 0.5)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 5)), np.ones((4, 3)), verbose=0)
    wide = models.build(f"{path}(width=7)", (5,), 3)
    assert wide.get_layer("hidden").units == 7
    assert models.recipe(str(path)) is None
    assert isinstance(models.build("outside_model", (5,), 3), keras.Model)


def test_a_folder_may_look_like_a_file(tmp_path):
    folder = tmp_path / "a.python" / "b.py(c)"
    folder.mkdir(parents=True)
    path = write(folder, "deep", "deep_model")
    model = models.build(f"{path}(width=2)", (5,), 3)
    assert model.get_layer("hidden").units == 2


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        models.build(str(tmp_path / "missing.py"), (5,), 3)


def test_a_file_must_register_a_new_model(tmp_path):
    path = write(tmp_path, "taken", "mlp")
    builder = models.REGISTRY.get("mlp")
    with pytest.raises(InputError, match="register one model"):
        models.build(str(path), (5,), 3)
    # Ours is still there.
    assert models.REGISTRY.get("mlp") is builder


def test_a_file_that_has_changed_is_read_again(tmp_path):
    path = write(tmp_path, "edited", "edited_model")
    path.write_text(path.read_text() + "\nraise RuntimeError(__file__)\n")
    with pytest.raises(RuntimeError, match="edited.py"):
        models.build(str(path), (5,), 3)
    assert "edited_model" not in models.names()
    for width in (4, 9):
        text = SOURCE.format(name="edited_model")
        path.write_text(text.replace("width=4", f"width={width}"))
        os.utime(path, ns=(width, width))
        model = models.build(str(path), (5,), 3)
        assert model.get_layer("hidden").units == width


def test_a_bad_argument_of_a_file_is_refused(tmp_path):
    path = write(tmp_path, "strict", "strict_model")
    with pytest.raises(InputError, match="'widht'.*'width'"):
        models.build(f"{path}(widht=3)", (5,), 3)
