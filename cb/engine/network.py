"""Networks that run: plans, memory, threads, and checks of what comes in."""

import collections
import math
import time
from collections.abc import Sequence

import numpy as np

from cb.engine.fusion import fuse
from cb.engine.graph import Graph
from cb.engine.plan import Plan
from cb.engine.plan import plan
from cb.errors import InputError
from cb.kernels import network as compiled
from cb.kernels.threads import share
from cb.kernels.threads import threads
from cb.kernels.tiles import aligned

Sides = dict[str, tuple[int, ...]]
# Images of a tile. Vectors need 16, unless all values have one position.
_IMAGES, _OF_VECTORS = (1, 16), (1, 16, 32, 64)
# Calls, and seconds, of which the fastest counts.
_TRIALS, _SECONDS = 3, 0.05


class Network:
    """A network on this machine.

    Several threads may call it at once.

    Args:
        graph: `Graph`.
        inputs: Dict of a name for each input to its shape without the batch;
            by default those of the graph under `"input_0"` and so on.
        outputs: Dict, likewise.

    Attributes:
        graph: `Graph`.
        choices: Dict of a number of examples to how they run: the number of
            images in a tile, and whether threads share its channels.

    Example:

    >>> network = cb.engine.load("exported")
    >>> network(images)
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Sides | None = None,
        outputs: Sides | None = None,
    ):
        self.graph = graph
        self._inputs = inputs or _named("input", graph, graph.inputs)
        self._outputs = outputs or _named("output", graph, graph.outputs)
        for sides, values in (
            (self._inputs, graph.inputs),
            (self._outputs, graph.outputs),
        ):
            expected = [math.prod(graph.shapes[number]) for number in values]
            if [*map(math.prod, sides.values())] != expected:
                raise InputError(
                    "The shapes of inputs and outputs must be those of the "
                    f"graph. Received: {sides}"
                )
        self._fused = fuse(graph)
        self._plans: dict[int, Plan] = {}
        # Memory that no call is using.
        self._free: dict[int, collections.deque] = collections.defaultdict(
            collections.deque
        )
        vectors = all(shape[:2] == (1, 1) for shape in graph.shapes.values())
        self._images = _OF_VECTORS if vectors else _IMAGES
        self.choices: dict[int, tuple[int, bool]] = {}

    def __call__(self, x):
        """Run the network.

        Args:
            x: Array `(examples, ...)` of numbers, or a dict of arrays by name
                if there are several inputs.

        Returns:
            float32 array, or a dict of arrays by name if there are several
            outputs.

        Raises:
            InputError: If the arrays do not fit, or hold a number that is not
                finite.
        """
        x = self._rows(x)
        y = self._empty(len(x))
        if len(x):
            self._run(x, y, *self._choice(len(x)))
        found, first = {}, 0
        for name, shape in self._outputs.items():
            end = first + math.prod(shape)
            found[name] = y[:, first:end].reshape(-1, *shape)
            first = end
        return found if len(found) > 1 else found[name]

    def _empty(self, examples: int) -> np.ndarray:
        """Return rows for the outputs of some examples."""
        sizes = map(math.prod, self._outputs.values())
        return np.empty((examples, sum(sizes)), "float32")

    def choose(self, batch_sizes: Sequence[int]) -> None:
        """Measure what is fastest for some numbers of examples.

        Args:
            batch_sizes: Integers; others are run as the nearest.
        """
        chosen = {}
        for size in batch_sizes:
            x = self._rows(self.draw(size))
            ways = {
                way: self._seconds(x, way) for way in self._candidates(size)
            }
            chosen[size] = min(ways, key=ways.__getitem__)
        self.choices.update(chosen)

    def draw(self, examples: int) -> dict[str, np.ndarray]:
        """Draw random inputs; return them by name."""
        random = np.random.default_rng(0)
        return {
            name: random.normal(size=(examples, *shape)).astype("float32")
            for name, shape in self._inputs.items()
        }

    def _candidates(self, examples: int) -> list[tuple[int, bool]]:
        found = []
        for images in self._images:
            if images > 1 and images >= 2 * examples:
                continue
            found.append((images, False))
            if threads() > 1 and examples < threads() * images:
                found.append((images, True))
        return found

    def _choice(self, examples: int) -> tuple[int, bool]:
        known = [*self.choices]
        if not known:
            fits = [n for n in self._images if n <= examples]
            return fits[-1], False
        nearest = min(known, key=lambda size: abs(size - examples))
        return self.choices[nearest]

    def _seconds(self, x, way) -> float:
        y = self._empty(len(x))
        self._run(x, y, *way)
        times: list[float] = []
        while len(times) < _TRIALS or sum(times) < _SECONDS:
            start = time.perf_counter()
            self._run(x, y, *way)
            times.append(time.perf_counter() - start)
        return min(times)

    def _run(self, x, y, images: int, together: bool) -> None:
        used = self._plans.get(images)
        if used is None:
            used = self._plans[images] = plan(self._fused, images)
        tiles = -(-len(x) // images)
        workers = threads() if together else min(threads(), tiles)
        size = 2 + 2 * tiles * len(used.arrays[0]) if together else 2
        counters = np.zeros(size, "int64")
        memory = [self._memory(used) for _ in range(1 if together else workers)]

        def work(number: int) -> None:
            compiled.run(
                used.arrays,
                memory[0 if together else number],
                x,
                y,
                images,
                counters,
                together,
            )

        try:
            if workers > 1:
                share(work, workers)
            else:
                work(0)
        finally:
            self._free[images].extend(memory)
        if counters[1]:
            raise InputError(
                "The inputs must be finite. Received: "
                f"{np.count_nonzero(~np.isfinite(x))} numbers that are NaN or "
                "infinite"
            )

    def _memory(self, used: Plan) -> np.ndarray:
        try:
            return self._free[used.images].pop()
        except IndexError:
            memory = aligned((used.floats,))
            memory.fill(0)
            return memory

    def _rows(self, x) -> np.ndarray:
        """Return all inputs of each example after each other."""
        if not isinstance(x, dict) and len(self._inputs) == 1:
            x = dict.fromkeys(self._inputs, x)
        if not isinstance(x, dict) or x.keys() != self._inputs.keys():
            found = sorted(x) if isinstance(x, dict) else type(x).__name__
            raise InputError(
                "The inputs must be a dict of arrays with the keys "
                f"{sorted(self._inputs)}. Received: {found}"
            )
        arrays = [
            _array(name, x[name], shape) for name, shape in self._inputs.items()
        ]
        if len({len(array) for array in arrays}) > 1:
            raise InputError(
                "The inputs must hold as many examples each. "
                f"Received: {[len(array) for array in arrays]}"
            )
        if len(arrays) == 1:
            return arrays[0]
        return np.concatenate(arrays, axis=1)


def _named(word: str, graph: Graph, values: Sequence[int]) -> Sides:
    return {
        f"{word}_{n}": graph.shapes[value] for n, value in enumerate(values)
    }


def _array(name: str, x, shape: tuple[int, ...]) -> np.ndarray:
    """Return an input as rows of float32; refuse what does not fit."""
    try:
        array = np.asarray(x)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Input {name!r} must be an array. Received: {type(x).__name__} "
            f"({error})"
        ) from error
    if array.dtype.kind not in "fiub":
        raise InputError(
            f"Input {name!r} must hold real numbers. Received: {array.dtype}"
        )
    if array.ndim < 1 or array.shape[1:] != shape:
        raise InputError(
            f"Input {name!r} must have the shape {(None, *shape)}. "
            f"Received: {array.shape}"
        )
    rows = array.reshape(len(array), math.prod(shape))
    return np.ascontiguousarray(rows, "float32")
