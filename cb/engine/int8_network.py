"""Networks that run on bytes where the processor has what that needs."""

import os
import warnings

import numpy as np

from cb.engine.file import save
from cb.engine.graph import Graph
from cb.engine.int8_features import lanes
from cb.engine.int8_program import compile_operations
from cb.engine.int8_program import tiles
from cb.engine.network import Network
from cb.engine.network import Sides
from cb.engine.plan import Plan
from cb.engine.quantization import quantize
from cb.errors import InputError


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
        self.arithmetic = "int8" if lanes() else "float32"
        self._operations = quantize(graph)
        super().__init__(graph, inputs, outputs)
        if self.arithmetic == "int8":
            known = tiles(self._operations)
            self._images = [n for n in self._images if n in known]
        else:
            warnings.warn(
                "A quantized network runs as floats: it needs AVX512-VNNI or "
                "AVX-VNNI, which Numba does not compile for here.",
                stacklevel=3,
            )

    def save(self, path: str) -> None:
        """Write the network for `cb.export.load`.

        Args:
            path: String, a folder; made if it is not there.

        Raises:
            InputError: If the folder cannot be written.
        """
        try:
            os.makedirs(path, exist_ok=True)
            save(self.graph, path, self._inputs, self._outputs)
        except OSError as error:
            raise InputError(
                "Argument `path` must be a folder that can be written. "
                f"Received: path={str(path)!r} ({error.strerror})"
            ) from error

    def _make_plan(self, images: int) -> Plan:
        if self.arithmetic == "int8":
            return compile_operations(self._operations, images)
        return super()._make_plan(images)

    def _run(self, x, y, images: int, together: bool) -> None:
        super()._run(x, y, images, together)
        if self._operations.softmax and self.arithmetic == "int8":
            rows = y.reshape(-1, self._operations.result[2])
            np.exp(rows - rows.max(1, keepdims=True), out=rows)
            rows /= rows.sum(1, keepdims=True)
