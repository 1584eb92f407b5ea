"""Programs: chains of sparse layers and other layers in the order they run."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from cb.export.chains import ACTIVATIONS
from cb.export.graph import Call
from cb.export.graph import Graph
from cb.export.graph import Value
from cb.export.graph import changes_nothing
from cb.export.products import Product
from cb.export.rules import elementwise

# Path of the description of the steps in the folder of a SavedModel.
FILE = ("assets.extra", "cb_steps.json")
# Format of the description; others are ignored.
VERSION = 1


@dataclasses.dataclass
class Chain:
    """Sparse layers, each the only consumer of the one before.

    Attributes:
        source: `Value`, the input.
        result: `Value`, the output.
        layers: List of tuples of a call and the name of its activation.
        flatten: Boolean, whether all axes but the first become one before.
        ending: Activation of the last layer if kernels do not support it,
            or `None`.
    """

    source: Value
    result: Value
    layers: list[tuple[Call, str]]
    flatten: bool = False
    ending: Any = None


@dataclasses.dataclass
class Segment:
    """Other layers.

    Attributes:
        calls: List of calls.
        sources: List of `Value` that they need from earlier steps.
        results: List of `Value` that later steps need.
        compiled: Boolean, whether the engine runs them, not TensorFlow.
    """

    calls: list[Call]
    sources: list[Value] = dataclasses.field(default_factory=list)
    results: list[Value] = dataclasses.field(default_factory=list)
    compiled: bool = False


def steps(graph: Graph, products: dict[Call, Product]) -> list[Chain | Segment]:
    """Divide a graph into chains of sparse layers and segments of others.

    Args:
        graph: `Graph`.
        products: Dict of a call to its `Product`.

    Returns:
        List of `Chain` and `Segment` in the order to run them in; empty if the
        model has several inputs or outputs, no sparse layer, or masks of
        time steps, which these steps do not pass on.
    """
    single = isinstance(graph.inputs, Value | list) and all(
        len(keras.tree.flatten(side)) == 1
        for side in (graph.inputs, graph.outputs)
    )
    masked = any(value.masked for call in graph.calls for value in call.results)
    if not single or not products or masked:
        return []
    uses = collections.Counter(keras.tree.flatten(graph.outputs))
    uses.update(value for call in graph.calls for value in call.sources)
    found: list[Chain | Segment] = []
    open_chains: dict[Value, Chain] = {}
    flattened = _flattened(graph, products, uses)
    for call in graph.calls:
        if call in flattened.values():
            continue
        chain = None
        if len(call.sources) == 1 and uses[call.sources[0]] == 1:
            chain = open_chains.get(call.sources[0])
        if call in products:
            if chain is None:
                chain = _begin(call, flattened)
                found.append(chain)
            _extend(chain, call, products[call])
        elif chain is None or not _absorb(chain, call):
            last = found[-1] if found else None
            if not isinstance(last, Segment):
                last = Segment([])
                found.append(last)
            last.calls.append(call)
            continue
        open_chains.pop(chain.result, None)
        (chain.result,) = call.results
        if chain.ending is None:
            open_chains[chain.result] = chain
    connect(graph, found)
    return found


def _flattened(graph, products, uses) -> dict[Value, Call]:
    """Return the results of calls that flatten only for a sparse layer."""
    needed = {call.sources[0] for call in products}
    return {
        call.results[0]: call
        for call in graph.calls
        if type(call.operation) is keras.layers.Flatten
        and call.operation.data_format == "channels_last"
        and uses[call.results[0]] == 1
        and call.results[0] in needed
    }


def _begin(call, flattened) -> Chain:
    (source,) = call.sources
    if source in flattened:
        (before,) = flattened[source].sources
        return Chain(before, source, [], flatten=True)
    return Chain(source, source, [])


def _extend(chain, call, item) -> None:
    name = _supported(item.activation)
    if not name:
        chain.ending = item.activation
    chain.layers.append((call, name or "linear"))


def _supported(activation) -> str:
    """Return the name of an activation that kernels have, else nothing."""
    name = getattr(activation, "__name__", "")
    return name if name in ACTIVATIONS and elementwise(activation) else ""


def _absorb(chain, call) -> bool:
    """Merge a call without weights into the layer before, where possible."""
    if changes_nothing(call):
        return True
    last, before = chain.layers[-1]
    if before != "linear" or type(call.operation) is not (
        keras.layers.Activation
    ):
        return False
    if name := _supported(call.operation.activation):
        chain.layers[-1] = (last, name)
    else:
        chain.ending = call.operation.activation
    return True


def connect(graph: Graph, found: Sequence[Chain | Segment]) -> None:
    """Find the inputs of every segment and the outputs that others need."""
    for segment in found:
        if isinstance(segment, Segment):
            made = [v for call in segment.calls for v in call.results]
            needed = dict.fromkeys(_needed(segment))
            segment.sources = [v for v in needed if v not in made]
            outside = keras.tree.flatten(graph.outputs)
            for other in found:
                if other is not segment:
                    outside += _needed(other)
            segment.results = [v for v in made if v in outside]


def _needed(step) -> list[Value]:
    if isinstance(step, Chain):
        return [step.source]
    return [value for call in step.calls for value in call.sources]


def describe(
    graph: Graph, found: list[Chain | Segment], products: dict[Call, Product]
) -> dict[str, Any]:
    """Return the steps as values that JSON can hold.

    Args:
        graph: `Graph`.
        found: What `steps` returned.
        products: Dict of a call to its `Product`, in the order in which the
            matrices are stored.

    Returns:
        Dict, with values and matrices by number.
    """
    numbers: dict[Value, int] = {}

    def number(value):
        return numbers.setdefault(value, len(numbers))

    source, *_ = keras.tree.flatten(graph.inputs)
    result, *_ = keras.tree.flatten(graph.outputs)
    matrices = {call: index for index, call in enumerate(products)}
    described: list[dict[str, Any]] = []
    for step in found:
        if isinstance(step, Chain):
            described.append(
                {
                    "source": number(step.source),
                    "result": number(step.result),
                    "flatten": step.flatten,
                    "ending": step.ending is not None,
                    "layers": [
                        {
                            "name": call.name,
                            "matrix": matrices[call],
                            "outputs": products[call].matrix.shape[0],
                            "activation": activation,
                        }
                        for call, activation in step.layers
                    ],
                }
            )
        else:
            described.append(
                {
                    "sources": [number(v) for v in step.sources],
                    "results": [number(v) for v in step.results],
                }
            )
    return {
        "version": VERSION,
        "source": number(source),
        "result": number(result),
        "steps": described,
    }
