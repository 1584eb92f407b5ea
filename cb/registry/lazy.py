"""Modules that are imported on first use."""

import importlib
import types
from typing import Any


class _Lazy(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        module = importlib.import_module(self.__name__)
        found = getattr(module, name)
        # The next access does not call this method.
        setattr(self, name, found)
        return found


def lazy_import(name: str) -> Any:
    """Return a stand-in for a module, which is imported on first use.

    `importlib.util.LazyLoader` puts the module into `sys.modules` at once,
    where other libraries check whether it is there.

    Args:
        name: String, the full name of the module.

    Example:

    >>> tf = lazy_import("tensorflow")
    """
    return _Lazy(name)
