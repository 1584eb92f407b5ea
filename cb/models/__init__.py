"""The models, one file per family, registered by name."""

import dataclasses
import importlib.util
import os
import pathlib
import sys

from cb.errors import InputError
from cb.registry import Registry
from cb.registry import Spec
from cb.registry import parse_spec

REGISTRY = Registry("model", __name__, given=("input_shape", "num_classes"))

names = REGISTRY.names

# What a user's file registered, and when it was last changed.
_FILES: dict[pathlib.Path, tuple[str, int]] = {}


def build(spec, input_shape, num_classes):
    """Build a model of the zoo, or of a user's file.

    Args:
        spec: Spec string such as `"mlp(units=(300, 100))"`, or the path of a
            Python file that registers one model, such as
            `"my_model.py"` or `"models/my_model.py(width=3)"`.
        input_shape: Tuple, shape of one example.
        num_classes: Integer, number of outputs (logits).

    Returns:
        A built Keras model that maps `(batch, *input_shape)` to logits
        `(batch, num_classes)`. Its attribute `always_dense`, if there, holds
        the patterns of the layers that `cb.sparsify` leaves dense unless told
        otherwise.

    Raises:
        InputError: If the spec names no model or has a bad argument.
    """
    return REGISTRY.build(
        _resolved(spec), input_shape=tuple(input_shape), num_classes=num_classes
    )


def complete(spec):
    """Return the spec with every default written out.

    Args:
        spec: As in `build`.

    Returns:
        `cb.registry.Spec`, of the file if `spec` names one.

    Raises:
        InputError: If the spec is wrong.
    """
    found = REGISTRY.complete(_resolved(spec))
    return dataclasses.replace(found, name=parse_spec(spec).name)


def recipe(spec):
    """Return the recipe of a model's source.

    Args:
        spec: As in `build`.

    Returns:
        `cb.models.recipes.Recipe`, or `None` if the model has none.

    Raises:
        InputError: If the spec is wrong.
    """
    spec = _resolved(spec)
    builder = REGISTRY.get(spec.name)
    found = getattr(builder, "recipe", None)
    if callable(found):
        return found(**REGISTRY.bind(spec))
    return found


def _resolved(spec) -> Spec:
    """Read a spec; import the file that it names, if it names one."""
    spec = parse_spec(spec)
    if not spec.name.endswith(".py"):
        return spec
    name = _imported(pathlib.Path(os.path.expanduser(spec.name)))
    return dataclasses.replace(spec, name=name)


def _imported(path: pathlib.Path) -> str:
    """Import a user's file and return the name that it registers.

    A file that has changed is read again.
    """
    path = path.resolve()
    if not path.is_file():
        raise InputError(f"The model's file does not exist. Received: {path}")
    stamp = path.stat().st_mtime_ns
    if _FILES.get(path, ("", 0))[1] == stamp:
        return _FILES[path][0]
    with REGISTRY.all_or_nothing():
        if path in _FILES:
            REGISTRY.remove(_FILES[path][0])
        name = _executed(path)
    _FILES[path] = name, stamp
    return name


def _executed(path: pathlib.Path) -> str:
    name = f"cb_user_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"The model's file must be Python. Received: {path}")
    module = importlib.util.module_from_spec(spec)
    known = set(REGISTRY.names())
    # Where Keras looks up the classes of a saved model.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    new = set(REGISTRY.names()) - known
    if path.stem in new:
        new = {path.stem}
    if len(new) != 1:
        raise InputError(
            "A model's file must register one model of a new name with "
            "`@cb.models.REGISTRY.register(name)`, or one named like the "
            f"file. Received: {path}, which registers {sorted(new)}"
        )
    return new.pop()
