"""The file of a network: a zip archive of NumPy arrays and a description.

Kernels are stored as their nonzero weights and the gaps between these, one byte
each but for gaps of 255 and more. Gaps and small weights are compressed.
"""

import dataclasses
import json
import math
import os
import zipfile
import zlib
from typing import Any

import numpy as np

from cb.engine import NAME
from cb.engine.graph import Graph
from cb.engine.graph import Node
from cb.engine.graph import connect
from cb.engine.network import Network
from cb.errors import InputError
from cb.errors import argument_error
from cb.errors import one_line
from cb.files import replacing

# Format of the file; newer ones are refused.
VERSION = 1
# A gap byte that only adds to the next one.
_LONG = 255
# Share of nonzeros from which a kernel is stored as it is.
_DENSE = 0.8
Sides = dict[str, tuple[int, ...]]


def save(graph: Graph, folder: str, inputs: Sides, outputs: Sides) -> None:
    """Write a network to a folder.

    Args:
        graph: `Graph`.
        folder: String, a folder that exists.
        inputs: Dict of the name of each input to its shape without the batch.
        outputs: Dict, likewise.
    """
    arrays: dict[str, list[np.ndarray]] = {}
    description = {
        "version": VERSION,
        "inputs": inputs,
        "outputs": outputs,
        "sources": {str(n): graph.shapes[n] for n in graph.inputs},
        "results": graph.outputs,
        "ranges": graph.ranges,
        "nodes": [
            {
                "kind": node.kind,
                "name": node.name,
                "inputs": node.inputs,
                "output": node.output,
                "options": node.options,
                "arrays": {
                    name: _write(array, arrays)
                    for name, array in _stored(node).items()
                },
            }
            for node in graph.nodes
        ],
    }
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    joined: dict[str, Any] = {
        name: np.concatenate(parts) for name, parts in arrays.items()
    }
    with replacing(os.path.join(folder, NAME)) as file:
        np.savez_compressed(file, description=text, **joined)


def _stored(node: Node) -> dict[str, np.ndarray]:
    """Return the arrays of a node, quantized kernels as int8."""
    arrays = dict(node.arrays)
    if "kernel_scale" in arrays:
        weights = np.rint(arrays["kernel"] / arrays["kernel_scale"])
        arrays["kernel"] = weights.astype("int8")
    return arrays


def restored(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of a node with a quantized kernel as float32."""
    if "kernel_scale" not in arrays:
        return arrays
    kernel = arrays["kernel"] * arrays["kernel_scale"].astype("float64")
    return {**arrays, "kernel": kernel.astype("float32")}


def _write(array: np.ndarray, arrays: dict[str, list]) -> dict[str, Any]:
    """Append an array to those of its type; return what describes it."""
    flat = np.ascontiguousarray(array).reshape(-1)
    name = flat.dtype.name
    written: dict[str, Any] = {"type": name, "shape": array.shape}
    places = np.flatnonzero(flat)
    if array.ndim > 1 and len(places) < _DENSE * len(flat):
        flat = flat[places]
        written["nonzeros"] = len(flat)
        arrays.setdefault("gaps", []).append(_gaps(places))
    arrays.setdefault(name, []).append(flat)
    return written


def _gaps(places: np.ndarray) -> np.ndarray:
    gaps = np.diff(places, prepend=0)
    ends = np.cumsum(gaps // _LONG + 1) - 1
    gap_bytes = np.full(ends[-1] + 1 if len(ends) else 0, _LONG, np.uint8)
    gap_bytes[ends] = gaps % _LONG
    return gap_bytes


def load(path: str, finite: bool = True) -> Network:
    """Load a network, without Keras or TensorFlow.

    Args:
        path: String, the folder that `cb.export.save` wrote in the form
            "engine", of layers that the engine has alone.
        finite: Boolean, whether inputs must be; those on bytes must.

    Returns:
        `Network`, a function of arrays.

    Raises:
        InputError: If there is no such file, or it is damaged or newer than
            this version of `cb`.
    """
    file = os.path.join(path, NAME)
    if not os.path.isfile(file):
        expected = (
            f"a folder with {NAME!r}; `cb.export.load` opens all other exports"
        )
        raise argument_error("path", expected, path)
    try:
        with open(file, "rb") as opened, np.load(opened) as archive:
            arrays = {name: archive[name] for name in archive.files}
        description = json.loads(arrays.pop("description").tobytes())
        version = description["version"]
        if version == VERSION:
            return _network(description, arrays, finite)
    except (
        AttributeError,
        EOFError,
        IndexError,
        KeyError,
        OSError,
        # For members that seem to be encrypted, or compressed in another way.
        RuntimeError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(
            f"Argument `path` must hold a whole {NAME!r}. Received: "
            f"path={path!r} ({type(error).__name__}: {one_line(error)})"
        ) from error
    raise InputError(
        f"Argument `path` must hold a {NAME!r} of version {VERSION}. "
        f"Received: path={path!r} with version {version!r}"
    )


def _network(description, arrays, finite) -> Network:
    reader = _Reader(arrays)
    nodes = [
        Node(
            node["kind"],
            node["name"],
            (*node["inputs"],),
            node["output"],
            {key: _tuples(value) for key, value in node["options"].items()},
            restored(
                {name: reader.read(one) for name, one in node["arrays"].items()}
            ),
        )
        for node in description["nodes"]
    ]
    reader.finish()
    sources = {
        int(number): tuple(shape)
        for number, shape in description["sources"].items()
    }
    graph = connect(sources, description["results"], nodes)
    inputs, outputs = (
        {name: tuple(shape) for name, shape in description[side].items()}
        for side in ("inputs", "outputs")
    )
    if description["ranges"] is None:
        return Network(graph, inputs, outputs, finite)
    from cb.engine.int8_network import QuantizedNetwork

    ranges = {int(n): _tuples(one) for n, one in description["ranges"].items()}
    graph = dataclasses.replace(graph, ranges=ranges)
    return QuantizedNetwork(graph, inputs, outputs)


class _Reader:
    """Takes arrays out of those of the file, in the order of the nodes."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self._arrays = arrays
        self._used = dict.fromkeys(arrays, 0)
        self._places = np.zeros(0, "int64")
        if "gaps" in arrays:
            gaps = arrays["gaps"].astype("int64")
            self._places = np.cumsum(gaps)[gaps < _LONG]
            self._before = np.concatenate([[0], self._places])
        self._read = 0

    def read(self, written: dict[str, Any]) -> np.ndarray:
        """Return the next array."""
        shape, count = tuple(written["shape"]), written.get("nonzeros")
        size = math.prod(shape)
        values = self._take(written["type"], size if count is None else count)
        if count is None:
            return values.reshape(shape)
        found = np.zeros(size, values.dtype)
        places = self._places[self._read : self._read + count]
        if count:
            found[places - self._before[self._read]] = values
        self._read += count
        return found.reshape(shape)

    def _take(self, name: str, size: int) -> np.ndarray:
        first = self._used[name]
        self._used[name] += size
        values = self._arrays[name][first : self._used[name]]
        if len(values) != size or not np.isfinite(values).all():
            raise ValueError("an array ends early, or is not finite")
        return values

    def finish(self) -> None:
        """Raise `ValueError` if anything is left."""
        if "gaps" in self._arrays:
            self._used["gaps"] = len(self._arrays["gaps"])
        left = [
            name
            for name, array in self._arrays.items()
            if self._used[name] != len(array)
        ]
        if left or self._read != len(self._places):
            raise ValueError(f"more than is needed of {left}")


def _tuples(value):
    """Return a value with tuples in place of lists."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return value
