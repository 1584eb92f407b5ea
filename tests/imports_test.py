"""What `import cb` offers, and brings to Keras, by itself."""

import contextlib
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys

import pytest

import cb
from cb.errors import InputError
from cb.errors import require_tensorflow
from tests.commands import ROOT
from tests.commands import run_new

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packages():
    """`cb` and its packages, after the import of every module."""
    found = [cb]
    for module in pkgutil.walk_packages(cb.__path__, "cb."):
        if not module.name.endswith("__main__"):
            imported = importlib.import_module(module.name)
            found += [imported] if module.ispkg else []
    return found


def test_public_names_outlive_the_import_of_every_module(packages):
    """A module `cb/x.py` or package `cb/x/` would replace a function `cb.x`."""
    offered = {f"cb.{name}" for name in cb._PACKAGES}
    called = 0
    for package in packages:
        for name in getattr(package, "__all__", ()):
            value = getattr(package, name)
            if inspect.ismodule(value):
                assert value.__name__ in {*offered, "cb.sparsity.reallocation"}
            elif callable(value):
                with pytest.raises((TypeError, ValueError)) as raised:
                    value(no_such_argument=1)
                assert "argument" in str(raised.value), name
                called += 1
            else:
                # Constants and registries have no module of their own.
                assert name.isupper(), name
    assert called


def test_functions_of_the_package_do_their_work_after_it(packages):
    import keras

    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(4)]
    )
    sparse = cb.sparsify(model, 0.5)
    in_place = keras.models.clone_model(model)
    cb.sparsify_layers(in_place, 0.5)
    csr = cb.to_csr(sparse, max_density=1.0, min_size=1)
    for converted in (sparse, in_place, cb.to_masked(csr)):
        assert cb.costs.costs(converted).macs == 48
    stripped = cb.strip(sparse)
    assert {type(layer) for layer in stripped.layers} == {keras.layers.Dense}
    assert cb.reallocation.get("set")
    with pytest.raises(ValueError, match="control of auto-tune"):
        cb.auto_tune(None, None, None, 8, blocks=(1,), controls=("any",))


# Loads every file of a folder as a user does who only reads it.
LOAD = """
import pathlib, sys
import numpy as np
for file in sorted(pathlib.Path(sys.argv[1]).glob(sys.argv[2])):
    model = keras.models.load_model(file)
    model.load_weights(file.with_suffix(".weights.h5"))
    stored = np.load(file.with_suffix(".npz"))
    np.testing.assert_array_equal(model(stored["x"]), stored["y"])
    print(file.stem)
"""


def load(folder, imports, pattern):
    """Begin a new process that loads files."""
    return subprocess.Popen(
        [sys.executable, "-c", imports + LOAD, str(folder), pattern],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_files_of_every_class_load_where_cb_and_keras_are_imported(tmp_path):
    import keras
    import numpy as np

    from tools import saved_objects

    registered = saved_objects.objects()
    listed = {
        name: module
        for module, names in cb._IN_FILES.items()
        for name in names.split()
    }
    # Files with it name a class of the user's own besides.
    del listed["MasksInside"]
    assert {*listed} == {*registered}
    for name, found in registered.items():
        # A new process may have imported no other module.
        module = importlib.import_module(listed[name])
        assert getattr(module, found.__name__) is found
        if name in saved_objects.METRICS:
            metric = found(**saved_objects.METRICS[name])
            x = keras.Input((2,), batch_size=4)
            model = keras.Model(x, keras.layers.Softmax()(x))
            model.compile("sgd", "mse", metrics=[metric])
        else:
            model = saved_objects.model_of(name, found)
        saved_objects.fill(model)
        inputs, _ = saved_objects.data(model)
        model.save(tmp_path / f"{name}.keras")
        model.save_weights(tmp_path / f"{name}.weights.h5")
        np.savez(tmp_path / f"{name}.npz", x=inputs, y=model(inputs))
    orders = {
        "import cb, keras": "*.keras",
        "import keras, cb": "Masked[DL]*.keras",
        "import cb, tensorflow as tf; keras = tf.keras": "Masked[DL]*.keras",
    }
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(load(tmp_path, imports, pattern))
            for imports, pattern in orders.items()
        ]
        loaded = []
        for process in started:
            output, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors[:2000]
            loaded.append({*output.split()})
    assert loaded[0] == {*listed}
    assert "MaskedDense" in loaded[1] == loaded[2]


def test_another_backend_is_refused_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="Received: backend='torch'"):
        require_tensorflow("torch")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    code, _, errors = run_new("train.py", folder=tmp_path)
    assert code == 2
    assert errors.count("\n") == 1
    assert "KERAS_BACKEND=tensorflow" in errors
