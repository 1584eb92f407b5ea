"""Networks that run on bytes where the processor has what that needs."""

import collections
import os
import warnings

import numpy as np

from cb.engine import int8_kernels as kernels
from cb.engine.file import save
from cb.engine.graph import Graph
from cb.engine.int8_features import lanes
from cb.engine.int8_program import Program
from cb.engine.int8_program import compile_operations
from cb.engine.int8_program import tiles
from cb.engine.network import Network
from cb.engine.network import Sides
from cb.engine.network import not_finite
from cb.engine.quantization import quantize
from cb.kernels.threads import share
from cb.kernels.threads import threads

_LINE = 64


class QuantizedNetwork(Network):
    """A quantized network on this machine.

    Weights and activations are bytes if Numba compiles for a processor with
    AVX512-VNNI or AVX-VNNI. Elsewhere the same weights run as floats, and a
    warning says so. Several threads may call it at once.

    Args:
        graph: `Graph` with the ranges of its values.
        inputs: As in `Network`.
        outputs: As in `Network`.

    Attributes:
        arithmetic: String, `"int8"` or `"float32"`.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Sides | None = None,
        outputs: Sides | None = None,
    ):
        super().__init__(graph, inputs, outputs)
        operations = quantize(graph)
        *_, self._channels = operations.result
        self._softmax = graph.nodes[-1].kind == "softmax"
        self._programs: list[Program] = []
        # Memory that no call is using.
        self._memories: collections.deque = collections.deque()
        if lanes():
            self._programs = [
                compile_operations(operations, tile)
                for tile in tiles(operations)
            ]
        else:
            warnings.warn(
                "A quantized network runs as floats: it needs AVX512-VNNI or "
                "AVX-VNNI, which Numba does not compile for here.",
                stacklevel=3,
            )

    @property
    def arithmetic(self) -> str:
        """How products are computed."""
        return "int8" if self._programs else "float32"

    def save(self, path: str) -> None:
        """Write the network for `cb.export.load`.

        Args:
            path: String, a folder; made if it is not there.

        Raises:
            InputError: If the folder cannot be written.
        """
        os.makedirs(path, exist_ok=True)
        save(self.graph, path, self._inputs, self._outputs)

    def choose(self, batch_sizes) -> None:
        """Measure what is fastest for floats; bytes have one way."""
        if not self._programs:
            super().choose(batch_sizes)

    def _run(self, x, y, images: int, together: bool) -> None:
        if not self._programs:
            super()._run(x, y, images, together)
            return
        number = sum(len(x) > one.tile for one in self._programs[:-1])
        program = self._programs[number]
        workers = min(threads(), -(-len(x) // program.tile))
        edges = [
            -(-len(x) // program.tile) * n // workers * program.tile
            for n in range(workers + 1)
        ]
        (source,) = self.graph.inputs
        channels = self.graph.shapes[source][2]
        good = [False] * workers

        def work(number: int) -> None:
            part = slice(edges[number], edges[number + 1])
            count = len(x[part])
            good[number] = self._part(
                program,
                x[part].reshape(count, -1, channels),
                y[part].reshape(count, -1, self._channels),
            )

        if workers > 1:
            share(work, workers)
        else:
            work(0)
        if not all(good):
            raise not_finite(x)
        if self._softmax:
            rows = y.reshape(-1, self._channels)
            np.exp(rows - rows.max(1, keepdims=True), out=rows)
            rows /= rows.sum(1, keepdims=True)

    def _part(self, program: Program, x, y) -> bool:
        """Fill the outputs of some images; return whether x is finite."""
        try:
            memory = self._memories.pop()
        except IndexError:
            memory = _aligned(max(one.size for one in self._programs))
        good = True
        for first in range(0, len(x), program.tile):
            part = slice(first, first + program.tile)
            good &= kernels.run(
                memory,
                program.steps,
                program.numbers,
                program.entries,
                program.factors,
                program.tables,
                x[part],
                y[part],
            )
        self._memories.append(memory)
        return good


def _aligned(size: int) -> np.ndarray:
    """Make an array of bytes that begins at a line of the cache."""
    memory = np.zeros(size + _LINE, "uint8")
    first = -memory.ctypes.data % _LINE
    return memory[first : first + size]
