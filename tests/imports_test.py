"""No module hides a public name of its package."""

import importlib
import inspect
import pkgutil

import pytest

import cb

pytestmark = pytest.mark.slow


def test_public_names_outlive_the_import_of_every_module():
    """A module `cb/x.py` or package `cb/x/` would replace a function `cb.x`."""
    packages = [cb]
    for found in pkgutil.walk_packages(cb.__path__, "cb."):
        if not found.name.endswith("__main__"):
            module = importlib.import_module(found.name)
            packages += [module] if found.ispkg else []
    offered = {f"cb.{name}" for name in cb._PACKAGES}
    for package in packages:
        for name in getattr(package, "__all__", ()):
            value = getattr(package, name)
            if inspect.ismodule(value):
                assert value.__name__ in {*offered, "cb.sparsity.reallocation"}
            else:
                # Constants and registries have no module of their own.
                assert callable(value) or name.isupper(), name
