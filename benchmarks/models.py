"""Models of other people: what `cb` does with each.

    python -m benchmarks.models [name ...]

takes backbones of KerasHub (`pip install keras-hub`) and models of Keras guides
there and back, and writes `benchmarks/models.csv` and the table of
`docs/models.md`. With names it renews their lines. The tests repeat some.
"""

import contextlib
import pathlib
import re
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import cb
from benchmarks import tables
from benchmarks.guide_models import GUIDES
from cb.errors import InputError
from cb.errors import RunError
from cb.errors import first_cause
from cb.errors import one_line
from cb.layers.masked import Masked
from cb.layers.masked import masked_kernels
from cb.layers.traversal import ordered_layers

FILE = pathlib.Path(__file__).with_suffix(".csv")
PAGE = pathlib.Path(__file__).parents[1] / "docs" / "models.md"
STEPS = (
    "sparsify",
    "set",
    "rigl",
    "resume",
    "file",
    "strip",
    "dense",
    "compact",
    "sparse",
)
COLUMNS = ("model", "kernels", "weights", *STEPS)
ALGORITHMS = {
    "set": "set(every=1, end=1.0)",
    "rigl": "rigl(every=1, end=1.0)",
}


class Case:
    """A model on its way.

    Args:
        model: Keras model, built.
        inputs: Structure of arrays of two examples.
        compiled: Dict of arguments of `compile`, or `None` for squared errors
            from zero.
        data: Batched data set to fit on, or `None` to make one of `inputs`.
    """

    def __init__(self, model, inputs, compiled=None, data=None):
        self.model = model
        self.inputs = inputs
        self.outputs = model(inputs, training=False)
        self.compiled = compiled
        self.data = data
        if data is None:
            # Positions, say, may be the same for all examples.
            examples = len(keras.tree.flatten(inputs)[0])
            targets = keras.tree.map_structure(
                lambda one: np.zeros((examples, *one.shape[1:]), "float32"),
                self.outputs,
            )
            given = tuple(inputs) if isinstance(inputs, list) else inputs
            whole = tf.data.Dataset.from_tensor_slices((given, targets))
            self.data = whole.batch(2).repeat(2)
        self.folder = tempfile.TemporaryDirectory()

    def sparsify(self):
        """Full masks change nothing; half of the weights stay active."""
        full = cb.sparsify(self.model, 0.0)
        _same(full(self.inputs, training=False), self.outputs)
        self.sparse = cb.sparsify(self.model, 0.5)
        return type(full).__name__ == type(self.model).__name__

    def set(self):
        return self._fit(self.sparse, ALGORITHMS["set"])

    def rigl(self):
        return self._fit(cb.sparsify(self.model, 0.5), ALGORITHMS["rigl"])

    def resume(self):
        """Go on from a file, after as many steps as before."""
        path = f"{self.folder.name}/resumed.keras"
        self.sparse.save(path)
        with _classes(self.model):
            loaded = keras.models.load_model(path)
        own = type(loaded).compile is not keras.Model.compile
        if own and getattr(loaded, "optimizer", None) is None:
            raise RunError(
                "Keras leaves a model of this class uncompiled when it reads "
                "its file, the dense one too: it has a `compile()` of its own "
                "without `compile_from_config()`"
            )
        before = int(self.sparse.optimizer.iterations)
        good = self._fit(loaded, ALGORITHMS["set"], loaded.optimizer)
        return good and int(loaded.optimizer.iterations) == 2 * before

    def file(self):
        loaded = self._loaded(self.sparse)
        if loaded is None and self._loaded(cb.strip(self.sparse)) is None:
            raise RunError(
                "Without masks, the model does not come back from its file "
                "with equal outputs either, since its class writes other values"
            )
        if loaded is None:
            return False
        kernels = zip(
            masked_kernels(loaded), masked_kernels(self.sparse), strict=True
        )
        return all(np.array_equal(a.mask, b.mask) for a, b in kernels)

    def _loaded(self, model):
        """Return a model as its file has it, `None` if its outputs differ."""
        path = f"{self.folder.name}/model.keras"
        model.save(path)
        with _classes(self.model):
            loaded = keras.models.load_model(path)
        expected = model(self.inputs, training=False)
        with contextlib.suppress(AssertionError):
            _same(loaded(self.inputs, training=False), expected)
            return loaded
        return None

    def strip(self):
        plain = cb.strip(self.sparse)
        expected = self.sparse(self.inputs, training=False)
        _same(plain(self.inputs, training=False), expected)
        layers = ordered_layers(plain)
        masked = any(isinstance(layer, Masked) for layer in layers)
        return not masked and type(plain) is type(self.model)

    def dense(self):
        return self._export("dense")

    def compact(self):
        return self._export("compact")

    def sparse_form(self):
        return self._export("sparse")

    def _export(self, form):
        path = f"{self.folder.name}/{form}"
        # It is compared with the model before it is there.
        try:
            return cb.export.save(self.sparse, path, form, [2]) == form
        except (InputError, RunError):
            cb.export.save(self.sparse, path, form, [2], self.inputs)
            return "works with `inputs=`"

    def refused_by_keras(self):
        """Return why Keras cannot export the dense model; none if it can."""
        try:
            self.model.export(f"{self.folder.name}/keras", verbose=False)
        except Exception as error:
            reason = one_line(first_cause(error))
            return f"refused: Keras cannot export the dense model. {reason}"
        return None

    def _fit(self, model, spec, optimizer=None):
        kernels = masked_kernels(model)
        counts = [np.count_nonzero(kernel.mask) for kernel in kernels]
        compiled = self.compiled or {"loss": "mse"}
        rule = optimizer or keras.optimizers.SGD(1e-3, clipnorm=1.0)
        # Eagerly: few steps do not repay the tracing of a graph.
        model.compile(rule, **compiled, run_eagerly=True)
        callback = cb.callbacks.Reallocation(spec, dataset=self.data)
        model.fit(self.data, shuffle=False, verbose=0, callbacks=[callback])
        for kernel, count in zip(kernels, counts, strict=True):
            mask = np.asarray(kernel.mask)
            kept = np.asarray(kernel.weight)[mask == 0]
            if not kernel.layer.trainable:
                # It keeps all that it had.
                kept = kept[:0]
            if np.count_nonzero(mask) != count or kept.any():
                return False
        return True


def _classes(model):
    kinds = {type(layer) for layer in ordered_layers(model)}
    found = {k.__name__: k for k in kinds if k.__module__.startswith("bench")}
    return keras.saving.custom_object_scope(found)


def _same(found, expected):
    pairs = zip(
        keras.tree.flatten(found), keras.tree.flatten(expected), strict=True
    )
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


def measure(make: Callable[[], tuple]) -> dict[str, Any]:
    """Take a model through all steps.

    Args:
        make: Function that returns the arguments of `Case`.

    Returns:
        Dict of one line of the table: masked kernels, their weights, and for
        each step "works" or why not.
    """
    # Names of layers are in the table.
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    case = Case(*make())
    row: dict[str, Any] = {}
    for step in STEPS:
        if step != "sparsify" and row["sparsify"] != "works":
            row[step] = "not reached"
            continue
        action = getattr(case, "sparse_form" if step == "sparse" else step)
        try:
            found = action()
            row[step] = found if isinstance(found, str) else _word(found)
        except (InputError, RunError) as error:
            row[step] = f"refused: {error}"
        except Exception as error:
            text = " ".join(str(error).split())
            row[step] = f"{type(error).__name__}: {text[:200]}"
    if row["dense"].startswith("refused"):
        # Exports that need not be opened are Keras's own.
        reason = case.refused_by_keras()
        for step in ("dense", "compact", "sparse"):
            row[step] = reason or row[step]
    kernels = masked_kernels(case.sparse) if hasattr(case, "sparse") else []
    sizes = [np.size(kernel.mask) for kernel in kernels]
    case.folder.cleanup()
    return {"kernels": len(kernels), "weights": sum(sizes), **row}


def _word(good: bool) -> str:
    return "works" if good else "WRONG"


def makers() -> dict[str, Callable[[], tuple]]:
    """Return the models by name; KerasHub's where it is installed."""
    try:
        from benchmarks.kerashub.backbones import BACKBONES
    except ImportError:
        return {**GUIDES}
    return {**GUIDES, **BACKBONES}


def table(found: dict[str, dict[str, str]]) -> str:
    """Return the table for the page, with reasons in short."""
    lines = ["| model | masked kernels | all but |", "|---|---|---|"]
    for name, row in found.items():
        reasons = [
            f"{step}: {_short(row[step])}"
            for step in STEPS
            if row[step] not in ("works", "not reached")
        ]
        text = "<br>".join(reasons) or "all works"
        lines.append(f"| {name} | {row['kernels']} | {text} |")
    return "\n".join(lines)


def _short(reason: str) -> str:
    """Return the first sentence of a reason, and what was received if any."""
    plain = re.sub(r"\x1b\[\d+m", "", reason).replace("|", "/")
    expected, _, received = plain.partition("Received: ")
    text = textwrap.shorten(expected.split(". Expected")[0], 240)
    received = textwrap.shorten(received, 120)
    return f"{text} ({received})" if received else text


def main(names: list[str]) -> None:
    """Measure models, and renew their lines."""
    found, makes = tables.read(FILE), makers()
    for name in names or makes:
        start = time.perf_counter()
        found[name] = {"model": name, **measure(makes[name])}
        found = {key: found[key] for key in makes if key in found}
        tables.write(FILE, COLUMNS, found)
        tables.renew(PAGE, table(found))
        print(f"{time.perf_counter() - start:.0f} s", found[name], flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
