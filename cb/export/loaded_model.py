"""Loaded exports, which run their sparse layers outside of the graph."""

import functools
import importlib.util
import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from cb.costs.latency import latency
from cb.export.chains import DenseChain
from cb.export.chains import EagerChain
from cb.export.chains import Layer
from cb.export.chains import compiled_chain
from cb.export.checking import SIGNATURE
from cb.export.checking import inputs_for
from cb.export.choice import ROWS
from cb.export.input_arrays import run_checked
from cb.export.sparse_module import parted
from cb.export.stored_matrix import read_matrix

GRAPH = "graph"
# Seconds of timing for each way of running a chain.
_TRIAL = 0.1


class LoadedModel:
    """A function that runs a saved model, made by `cb.export.load`.

    Args:
        saved: SavedModel, loaded.
        description: Dict that describes the steps to run instead of the graph.
        batch_sizes: Integers, ascending.

    Attributes:
        signature: The graph as it was saved.
        kernels: Dict of a batch size to the fastest way found for it: a dict
            of the first layer of a chain to how the chain is run, or
            `"graph"` if the saved graph is faster.
    """

    def __init__(
        self,
        saved: Any,
        description: dict[str, Any],
        batch_sizes: Sequence[int],
    ):
        self._saved = saved
        self.signature = saved.signatures[SIGNATURE]
        _, specs = self.signature.structured_input_signature
        # Shape and type of every input; the specs of the graph are slow to
        # compare.
        self._inputs = {
            name: (tuple(spec.shape), spec.dtype.as_numpy_dtype)
            for name, spec in specs.items()
        }
        self._description = description
        self._steps = description["steps"]
        self.kernels: dict[int, Any] = dict.fromkeys(batch_sizes, GRAPH)
        self._run: dict[int, Callable] = dict.fromkeys(batch_sizes, self._graph)
        self._chains = {
            index: _candidates(saved, step)
            for index, step in enumerate(self._steps)
            if "layers" in step
        }
        choices = [self._choose(size) for size in batch_sizes if self._chains]
        if choices:
            self._chains = _used(self._chains, choices)

    @property
    def has_steps(self) -> bool:
        """Whether anything but the graph can be run."""
        return bool(self._chains)

    def __call__(self, x):
        return run_checked(self._run_nearest, x, self._inputs)

    def draw(self, examples: int) -> dict[str, np.ndarray]:
        """Draw random inputs; return them by name."""
        drawn = inputs_for(self.signature, examples)
        return {name: value.numpy() for name, value in drawn.items()}

    def _run_nearest(self, arrays):
        (examples,) = {len(array) for array in arrays.values()}
        size = min(self._run, key=lambda known: abs(known - examples))
        return self._run[size](arrays)

    def _graph(self, arrays):
        tensors = {name: tf.constant(array) for name, array in arrays.items()}
        outputs = self.signature(**tensors)
        found = {name: value.numpy() for name, value in outputs.items()}
        return found if len(found) > 1 else next(iter(found.values()))

    def _choose(self, size) -> dict[int, str]:
        """Find the fastest way for a batch size; return how chains are run."""
        arrays = self.draw(size)
        (x,) = arrays.values()
        chosen: dict[int, str] = {}

        def trial(index, inputs):
            part = inputs[:ROWS]
            if "numba" in self._chains[index]:
                self._chains[index]["numba"].choose([len(part)])
            times = {
                name: latency(functools.partial(run, part), _TRIAL).low
                for name, run in self._chains[index].items()
            }
            chosen[index] = min(times, key=times.__getitem__)
            return chosen[index]

        self.execute(x, trial)

        def run(arrays):
            (x,) = arrays.values()
            return self.execute(x, lambda index, inputs: chosen[index])

        steps, graph = (
            latency(functools.partial(function, arrays), 2 * _TRIAL).low
            for function in (run, self._graph)
        )
        if steps >= graph:
            return {}
        self._run[size] = run
        self.kernels[size] = {
            self._steps[index]["layers"][0]["name"]: name
            for index, name in chosen.items()
        }
        return chosen

    def execute(self, x, choose: Callable[[int, np.ndarray], str]):
        """Run the steps; `choose` decides how a chain runs on its inputs."""
        values = {self._description["source"]: x}
        for index, step in enumerate(self._steps):
            if index in self._chains:
                y = self._run_chain(index, values[step["source"]], choose)
                values[step["result"]] = y
                continue
            function = getattr(self._saved, f"segment_{index}")
            sources = step["sources"]
            tensors = {
                f"x{n}": tf.convert_to_tensor(values[n]) for n in sources
            }
            outputs = function(**tensors)
            values.update(zip(step["results"], outputs, strict=True))
        return np.asarray(values[self._description["result"]])

    def _run_chain(self, index, x, choose) -> np.ndarray:
        step = self._steps[index]
        x = np.asarray(x, "float32")
        lead = x.shape[:1] if step["flatten"] else x.shape[:-1]
        inputs = np.ascontiguousarray(x.reshape(math.prod(lead), -1))
        y = self._chains[index][choose(index, inputs)](inputs)
        y = y.reshape(*lead, y.shape[-1])
        if step["ending"]:
            y = getattr(self._saved, f"ending_{index}")(y)
        return y


def _used(chains: dict[int, dict[str, Callable]], choices) -> dict:
    """Return the ways of running chains that have been chosen."""
    return {
        index: {kind: ways[kind] for kind in {c[index] for c in choices if c}}
        for index, ways in chains.items()
    }


def _candidates(saved, step) -> dict[str, Any]:
    layers = []
    for layer in step["layers"]:
        matrix = read_matrix(saved.matrices[layer["matrix"]])
        product = parted(matrix, layer["outputs"])
        layers.append(Layer(*product, layer["activation"]))
    found: dict[str, Any] = {"tensorflow": EagerChain(layers)}
    found["dense"] = DenseChain(layers)
    # Without Numba the other ways remain.
    if importlib.util.find_spec("numba"):
        found["numba"] = compiled_chain(layers)
    return found
