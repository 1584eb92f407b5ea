"""Loaded networks of which the engine runs a part and TensorFlow the rest."""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from cb.engine.batch_sizes import check_batch_sizes
from cb.errors import InputError
from cb.errors import one_line
from cb.export.any_form import SEGMENTS
from cb.export.checking import inputs_taken
from cb.export.checking import load_graph
from cb.export.input_arrays import run_checked

# Format of the description; others are refused.
VERSION = 1


class SegmentedNetwork:
    """A network in segments, made by `cb.export.load`.

    Args:
        path: String, the folder of the export.

    Raises:
        InputError: If it is damaged or of another version.
    """

    def __init__(self, path: str):
        try:
            with open(os.path.join(path, SEGMENTS)) as stream:
                description = json.load(stream)
            if description["version"] != VERSION:
                raise ValueError(f"version {description['version']!r}")
            self._read(description, path)
        except (
            AttributeError,
            KeyError,
            OSError,
            TypeError,
            ValueError,
            tf.errors.OpError,
        ) as error:
            raise InputError(
                "Argument `path` must be the folder of an export in segments "
                f"of version {VERSION} that can be read. Received: "
                f"path={path!r} ({type(error).__name__}: {one_line(error)})"
            ) from error

    def _read(self, description: dict[str, Any], path: str) -> None:
        # Needs Numba, which this module is imported without.
        from cb.engine import load as load_network

        self._sources = description["sources"]
        self._outputs = description["outputs"]
        self._specs = {
            name: tf.TensorSpec(shape, dtype)
            for name, (shape, dtype) in description["inputs"].items()
        }
        self._inputs = {
            name: (tuple(spec.shape), spec.dtype.as_numpy_dtype)
            for name, spec in self._specs.items()
        }
        saved = load_graph(path)
        folder = os.path.join(path, os.path.dirname(SEGMENTS))
        self._networks = {
            index: load_network(os.path.join(folder, str(index)), finite=False)
            for index, segment in enumerate(description["segments"])
            if segment["compiled"]
        }
        self._segments = [
            (
                segment["sources"],
                segment["results"],
                self._networks.get(index)
                or _in_tensorflow(saved, getattr(saved, f"segment_{index}")),
            )
            for index, segment in enumerate(description["segments"])
        ]

    def __call__(self, x):
        """Run the network; arguments as in `cb.engine.Network`."""
        return run_checked(self._run, x, self._inputs)

    def choose(self, batch_sizes: Sequence[int]) -> None:
        """Measure what is fastest; as in `cb.engine.Network`."""
        check_batch_sizes(batch_sizes)
        for network in self._networks.values():
            network.choose(batch_sizes)

    def draw(self, examples: int) -> dict[str, np.ndarray]:
        """Draw random inputs; return them by name."""

        def run(**tensors):
            self._run({name: x.numpy() for name, x in tensors.items()})

        drawn = inputs_taken(run, self._specs, examples)
        return {name: x.numpy() for name, x in drawn.items()}

    def _run(self, arrays: dict[str, np.ndarray]):
        for name, x in arrays.items():
            if x.dtype.kind == "f" and not np.isfinite(x).all():
                raise InputError(
                    f"Input {name!r} must be finite. Received: "
                    f"{np.count_nonzero(~np.isfinite(x))} numbers that are NaN "
                    "or infinite"
                )
        values = dict(zip(self._sources, arrays.values(), strict=True))
        for sources, results, run in self._segments:
            given = {f"x{number}": values[number] for number in sources}
            found = run(given)
            if isinstance(found, dict):
                found = [found[f"x{number}"] for number in results]
            elif not isinstance(found, list):
                found = [found]
            values.update(zip(results, found, strict=True))
        outputs = {
            name: np.asarray(values[number])
            for name, number in self._outputs.items()
        }
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))


def _in_tensorflow(saved, function):
    """Return a function of arrays by name; it keeps its module."""

    def run(arrays, module=saved):
        del module
        tensors = {name: tf.convert_to_tensor(x) for name, x in arrays.items()}
        return [*function(**tensors)]

    return run
