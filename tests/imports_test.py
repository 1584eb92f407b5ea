"""No module hides a public name of its package."""

import importlib
import inspect
import pkgutil

import pytest

import cb

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
