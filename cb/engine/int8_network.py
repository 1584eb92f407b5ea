"""Quantized networks that can be called."""

import numpy as np

from cb.engine import int8_kernels as kernels
from cb.engine.int8_operations import Operations
from cb.engine.int8_program import Program
from cb.engine.int8_program import compile_operations
from cb.engine.int8_program import tiles
from cb.errors import InputError

_LINE = 64


class Int8Network:
    """A function that runs a quantized network; threads may share it.

    Args:
        network: `Operations`.
    """

    def __init__(self, network: Operations):
        self._network = network
        self._programs = [
            compile_operations(network, tile) for tile in tiles(network)
        ]
        # A call takes memory from here, or makes some, and puts it back.
        self._memories: list[list[np.ndarray]] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Run the network.

        Args:
            images: Float array `(examples, height, width, channels)`.

        Returns:
            float32 array of the same form.

        Raises:
            InputError: If an input is NaN.
        """
        images = np.ascontiguousarray(images, "float32")
        rows, columns, depth = self._network.source
        x = images.reshape(len(images), rows * columns, depth)
        height, width, channels = self._network.result
        y = np.empty((len(x), height * width, channels), "float32")
        try:
            memories = self._memories.pop()
        except IndexError:
            memories = [_aligned(one.size) for one in self._programs]
        first = 0
        while first < len(x):
            number = sum(
                len(x) - first > one.tile for one in self._programs[:-1]
            )
            program, memory = self._programs[number], memories[number]
            last = first + program.tile
            _run(program, memory, x[first:last], y[first:last])
            first = last
        self._memories.append(memories)
        return y.reshape(len(x), height, width, channels)


def _run(program: Program, memory, x, y) -> None:
    """Fill the outputs of at most as many images as a tile holds."""
    good = kernels.run(
        memory,
        program.steps,
        program.numbers,
        program.entries,
        program.factors,
        program.tables,
        x,
    )
    if not good:
        raise InputError("The inputs must not be NaN. Received: NaN")
    _, positions, channels = y.shape
    count = program.tile * positions
    floats = memory[program.output :].view("float32")
    pitch = -(-count // 16) * 16
    found = floats[: channels * pitch].reshape(channels, pitch)[:, :count]
    y[:] = found.T.reshape(program.tile, positions, channels)[: len(y)]


def _aligned(size: int) -> np.ndarray:
    """Make an array of bytes that begins at a line of the cache."""
    memory = np.zeros(size + _LINE, "uint8")
    first = -memory.ctypes.data % _LINE
    return memory[first : first + size]
