"""Networks that run: plans, memory, threads, and checks of what comes in."""

import collections
import math
import time
from collections.abc import Sequence

import numpy as np

from cb.engine.batch_sizes import check_batch_sizes
from cb.engine.fusion import fuse
from cb.engine.graph import Graph
from cb.engine.plan import Plan
from cb.engine.plan import plan
from cb.engine.team import Team
from cb.errors import InputError
from cb.kernels.threads import share
from cb.kernels.threads import threads
from cb.kernels.tiles import aligned

Sides = dict[str, tuple[int, ...]]
# Images of a tile: 16 fill a vector, 8 are half of a batch for each of two
# threads; more where all values have one position.
_IMAGES, _OF_VECTORS = (1, 8, 16), (1, 16, 32, 64)
# Calls, and seconds, of which the fastest counts.
_TRIALS, _SECONDS = 3, 0.03
# Bytes of a tile from which no cache holds it.
_LARGEST = 2**26


class Network:
    """A network on this machine.

    Several threads may call it at once.

    Args:
        graph: `Graph`.
        inputs: Dict of a name for each input to its shape without the batch;
            by default those of the graph under `"input_0"` and so on.
        outputs: Dict, likewise.
        finite: Boolean, whether inputs must be.

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
        finite: bool = True,
    ):
        self.graph = graph
        self._finite = finite
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
        # Floats of the outputs of an example.
        self._width = sum(map(math.prod, self._outputs.values()))
        self._plans: dict[int, Plan] = {}
        self._teams: dict[int, Team] = {}
        # Memory that no call is using.
        self._free: dict[int, collections.deque] = collections.defaultdict(
            collections.deque
        )
        shapes = self._fused.shapes.values()
        vectors = all(shape[:2] == (1, 1) for shape in shapes)
        images = _OF_VECTORS if vectors else _IMAGES
        largest = _LARGEST // (4 * self._plan(1).floats)
        self._images = [n for n in images if n == 1 or n <= largest]
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
        y = np.empty((len(x), self._width), "float32")
        if len(x):
            self._run(x, y, *self._choice(len(x)))
        if len(self._outputs) == 1:
            (shape,) = self._outputs.values()
            return y.reshape(-1, *shape)
        found, first = {}, 0
        for name, shape in self._outputs.items():
            end = first + math.prod(shape)
            found[name] = y[:, first:end].reshape(-1, *shape)
            first = end
        return found

    def choose(self, batch_sizes: Sequence[int]) -> None:
        """Measure what is fastest for some numbers of examples.

        Args:
            batch_sizes: Integers; others are run as the nearest, by ratio.

        Raises:
            InputError: If they are no list of positive integers.
        """
        check_batch_sizes(batch_sizes)
        chosen = {}
        for size in batch_sizes:
            ways = {
                way: self._seconds(size, way) for way in self._candidates(size)
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
        if examples in self.choices:
            return self.choices[examples]
        if not self.choices:
            return max(n for n in self._images if n <= examples), False
        nearest = min(
            self.choices, key=lambda size: abs(math.log(size / examples))
        )
        return self.choices[nearest]

    def _seconds(self, examples: int, way) -> float:
        """Return how long a batch takes, if need be from a part of it."""
        part = min(examples, 2 * threads() * way[0])
        x = self._rows(self.draw(part))
        y = np.empty((len(x), self._width), "float32")
        self._run(x, y, *way)
        times: list[float] = []
        while len(times) < _TRIALS or sum(times) < _SECONDS:
            start = time.perf_counter()
            self._run(x, y, *way)
            times.append(time.perf_counter() - start)
        return min(times) * examples / part

    def _plan(self, images: int) -> Plan:
        if images not in self._plans:
            self._plans[images] = self._make_plan(images)
        return self._plans[images]

    def _make_plan(self, images: int) -> Plan:
        return plan(self._fused, images)

    def _run(self, x, y, images: int, together: bool) -> None:
        used = self._plan(images)
        finite = None
        if together:
            if images not in self._teams:
                self._teams[images] = Team(used, x.shape[1], y.shape[1])
            finite = self._teams[images].run(x, y)
        if finite is None:
            finite = self._share_tiles(used, x, y)
        if self._finite and not finite:
            raise not_finite(x)

    def _share_tiles(self, used: Plan, x, y) -> bool:
        """Run some tiles in each thread; return whether inputs are finite."""
        counters = np.zeros(2, "int64")

        def work(number: int) -> None:
            memory = self._memory(used)
            used.code.run(used.arrays, memory, x, y, used.images, counters)
            self._free[used.images].append(memory)

        share(work, min(threads(), -(-len(x) // used.images)))
        return not counters[1]

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
            ((name, shape),) = self._inputs.items()
            return _array(name, x, shape)
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


def not_finite(x: np.ndarray) -> InputError:
    """Return the error for inputs that are not finite."""
    return InputError(
        "The inputs must be finite. Received: "
        f"{np.count_nonzero(~np.isfinite(x))} numbers that are NaN or infinite"
    )


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
    # Numba compiles the whole network again for arrays of another type, which
    # those are that cannot be written or begin between two floats.
    return np.require(rows, "float32", ["C", "A", "W"])
