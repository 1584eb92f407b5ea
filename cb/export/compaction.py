"""Compaction: removes dead channels without changing the outputs."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cb.export import graph as graphs
from cb.export.arguments import with_one_argument
from cb.export.compaction_report import CompactionReport
from cb.export.compaction_report import Row
from cb.export.graph import Call
from cb.export.graph import Graph
from cb.export.graph import Value
from cb.export.opening import plain_graph
from cb.export.rule_table import rule
from cb.export.rules import Rule
from cb.registry import Count
from cb.registry import check_arguments


def compact(
    model: keras.Model,
    report: Callable[[CompactionReport], object] | None = None,
    inputs: Any = None,
    block: Count = 1,
) -> keras.Model:
    """Make a smaller Keras model with the same outputs.

    A unit or channel is removed if no nonzero weight leads from it to an
    output that is used, or if none leads to it from an input. In the second
    case it is constant, and the constant is folded through activations, batch
    normalization and pooling into the biases of the layers that follow. The
    result is exact up to rounding. Nothing is removed at unknown layers.

    Args:
        model: Keras model, sparse or not, built. Nested models, subclassed
            ones and layers made of other layers are flattened into one.
        report: Callable that is given a `CompactionReport`, such as `print`.
        inputs: Structure of arrays or `keras.Input` as a subclassed model is
            called on, or a dict of them by argument if `call` takes several;
            only needed where these are not known.
        block: Integer. Channels are removed by so many that follow each other,
            so that what stays keeps its place in such a block.

    Returns:
        A functional Keras model of layers without masks, with the inputs and
        outputs of the first, without an optimizer.

    Raises:
        InputError: If the model cannot be opened as a graph of layers, or
            `block` is no positive integer.

    Example:

    >>> model = cb.sparsify(keras.applications.VGG16(), sparsity=0.98)
    >>> small = cb.export.compact(model, report=print)
    """
    check_arguments(compact, block=block)
    graphs.require(model)
    model, inputs = with_one_argument(model, inputs)
    plain = plain_graph(model, inputs)
    graph = graphs.trace(plain)
    rules = {call: rule(call) for call in graph.calls}
    constants = find_constants(graph, rules)
    kept = find_kept(graph, rules, constants, block)
    small = _rebuilt(graph, rules, constants, kept)
    if report is not None:
        outputs = keras.tree.flatten(graph.outputs)
        rows = [
            _row(call, rules[call], constants, kept, outputs)
            for call in graph.calls
        ]
        before, after = plain.count_params(), small.count_params()
        report(CompactionReport(rows, before, after))
    return small


def find_constants(
    graph: Graph, rules: dict[Call, Rule]
) -> dict[Value, np.ndarray]:
    """Find the channels whose value does not depend on the inputs.

    Args:
        graph: `Graph`.
        rules: Dict of a call to its rule.

    Returns:
        Dict of a value to a float array `(channels,)`, NaN where a channel
        varies.
    """
    found = {
        value: np.full(value.channels, np.nan)
        for value in keras.tree.flatten(graph.inputs)
    }
    for call in graph.calls:
        outputs = rules[call].constants([found[v] for v in call.sources])
        found.update(zip(call.results, outputs, strict=True))
    return found


def find_kept(
    graph: Graph,
    rules: dict[Call, Rule],
    constants: dict[Value, np.ndarray],
    block: int = 1,
) -> dict[Value, np.ndarray]:
    """Find the channels that must stay.

    Args:
        graph: `Graph`.
        rules: Dict of a call to its rule.
        constants: As `find_constants` returns them.
        block: As in `compact`.

    Returns:
        Dict of a value to a boolean array `(channels,)`.
    """
    kept = {v: np.zeros(len(found), bool) for v, found in constants.items()}
    for value in keras.tree.flatten([graph.inputs, graph.outputs]):
        kept[value][:] = True
    _grow(graph, rules, constants, kept, block)
    # No layer may be empty, and one more channel may need others.
    for value, fewest in _fewest(graph, rules).items():
        missing = min(fewest, value.channels) - int(kept[value].sum())
        if missing > 0:
            extra = np.flatnonzero(~kept[value])[:missing]
            kept[value] = kept[value].copy()
            kept[value][extra] = True
            kept[value] = _whole(kept[value], block)
            _grow(graph, rules, constants, kept, block)
    return kept


def _fewest(graph, rules) -> dict[Value, int]:
    """Return the least number of channels of every value."""
    fewest: dict[Value, int] = {}
    for call in graph.calls:
        for value in [*call.sources, *call.results]:
            fewest[value] = max(fewest.get(value, 1), rules[call].fewest)
    return fewest


def _grow(graph, rules, constants, kept, block) -> None:
    """Add the channels that rules need until nothing changes."""
    changed = True
    while changed:
        changed = False
        for call in reversed(graph.calls):
            values = [*call.sources, *call.results]
            inputs, outputs = rules[call].keep(
                [kept[v] for v in call.sources],
                [kept[v] for v in call.results],
                [constants[v] for v in call.sources],
            )
            for value, new in zip(values, [*inputs, *outputs], strict=True):
                if (new & ~kept[value]).any():
                    kept[value] = _whole(kept[value] | new, block)
                    changed = True


def _whole(kept: np.ndarray, block: int) -> np.ndarray:
    """Keep all channels of a block of which one is kept."""
    starts = np.arange(0, len(kept), block)
    some = np.logical_or.reduceat(kept, starts)
    return np.repeat(some, block)[: len(kept)]


def _rebuilt(graph, rules, constants, kept) -> keras.Model:
    def sides(call):
        return [kept[v] for v in call.sources], [kept[v] for v in call.results]

    def smaller(call):
        return not all(side.all() for values in sides(call) for side in values)

    def weights(call):
        inputs = [constants[v] for v in call.sources]
        return rules[call].weights(*sides(call), inputs)

    def make(call):
        if not smaller(call):
            return graphs.clone(call)
        config = call.operation.get_config()
        config.update(rules[call].config(*sides(call)))
        if "bias" in weights(call):
            config["use_bias"] = True
        return type(call.operation).from_config(config)

    def fill(call, layer):
        if not smaller(call):
            graphs.copy(call, layer)
            return
        for name, value in weights(call).items():
            getattr(layer, name).assign(value)

    return graphs.rebuild(graph, make, fill)


def _row(call, rule, constants, kept, outputs) -> Row:
    (result, *_) = call.results
    stays = "" if result in outputs else rule.outputs_stay
    held = kept[result] & ~np.isnan(constants[result])
    return Row(
        call.name,
        call.kind,
        len(kept[result]),
        int(kept[result].sum()),
        int(held.sum()),
        rule.reason or stays,
    )
