"""A user's settings of Keras change no run, and stay those of the user."""

import functools
import json

import keras
import pytest

from tests import forks
from tests.commands import run
from tests.commands import run_code
from tests.commands import run_new

SMALL = ["--model=small_cnn", "--limit_examples=200", "--epochs=1"]
OTHERS = {
    "floatx": "float64",
    "epsilon": 0.01,
    "image_data_format": "channels_first",
}


def change_settings():
    for name, value in OTHERS.items():
        getattr(keras.config, f"set_{name}")(value)


def test_another_keras_json_makes_the_same_run(tmp_path):
    for name, prepare in (("plain", []), ("changed", [change_settings])):
        code, _, errors = run(
            "train.py",
            *SMALL,
            f"--run_dir={name}",
            folder=tmp_path,
            prepare=prepare,
        )
        assert code == 0, errors
        code, output, errors = run(
            "evaluate.py",
            f"--run_dir={name}",
            folder=tmp_path,
            prepare=prepare,
        )
        assert code == 0, errors
        (tmp_path / name / "scores.txt").write_text(output.partition(": ")[2])
    for file in ("metrics.csv", "evaluation.csv", "scores.txt"):
        first, second = (
            (tmp_path / name / file).read_text()
            for name in ("plain", "changed")
        )
        assert first == second


@pytest.mark.parametrize("script", ["train.py", "tune.py"])
def test_the_backend_in_keras_json_does_not_count(
    tmp_path, monkeypatch, script
):
    (tmp_path / "keras.json").write_text(
        json.dumps({"backend": "torch", **OTHERS})
    )
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    # An empty variable stands for none.
    monkeypatch.setenv("KERAS_BACKEND", "")
    flags = {
        "train.py": SMALL,
        "tune.py": ["--max_trials=1", "--oracle=random", "--epochs=1"],
    }
    code, output, errors = run_new(script, *flags[script], folder=tmp_path)
    assert (code, errors) == (0, ""), errors
    assert "failed" not in output


@pytest.mark.parametrize(
    "content", ['{"floatx": "bfloat16"}', '{"epsilon": 1}', "[]"]
)
def test_a_keras_json_that_keras_refuses_is_one_line(
    tmp_path, monkeypatch, content
):
    (tmp_path / "keras.json").write_text(content)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    code, output, errors = run_new(
        "evaluate.py", "--run_dir=.", folder=tmp_path
    )
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "Keras cannot be imported with the settings in its" in errors


@pytest.mark.parametrize(
    ("name", "value"),
    [("KERAS_BACKEND", "jax"), ("KERAS_MAX_EPOCHS", "1")],
)
def test_variables_that_would_make_another_run_are_refused(
    tmp_path, name, value
):
    prepare = [functools.partial(forks.set_variable, name, value)]
    code, output, errors = run(
        "train.py", *SMALL, folder=tmp_path, prepare=prepare
    )
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert name in errors and value in errors


# Every package is imported, and a model made sparse. An import must not start
# TensorFlow's runtime, after which its devices cannot be configured.
LIBRARY = """
import keras, cb, tensorflow as tf
for name in cb.__all__:
    getattr(cb, name)
tf.config.threading.set_intra_op_parallelism_threads(1)
x = keras.Input((4,))
cb.sparsify(keras.Model(x, keras.layers.Dense(3)(x)), 0.5)
config = keras.config
print(config.floatx(), config.epsilon(), config.image_data_format())
"""


def test_the_library_leaves_the_settings_alone(tmp_path, monkeypatch):
    (tmp_path / "keras.json").write_text(json.dumps(OTHERS))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert run_code(LIBRARY).split() == [
        str(value) for value in OTHERS.values()
    ]
