"""Networks for the engine, from Keras models."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cb.engine.graph import Graph
from cb.errors import InputError
from cb.export import checking
from cb.export import graph as graphs
from cb.export.compaction import compact
from cb.export.lowering import lower
from cb.export.lowering import obstacle
from cb.export.segmented import SegmentedNetwork
from cb.export.segments import segments
from cb.export.segments import write_segments
from cb.kernels.threads import require_numba

Sides = dict[str, tuple[int, ...]]
# Images of a tile, which run by other code than a few do.
_TILES = (8, 16)


def write_engine(
    model: keras.Model, path: str, inputs: Any, batch_sizes: Sequence[int]
) -> None:
    """Write a model for the engine, and compare the two.

    Layers that the engine does not have are written for TensorFlow.

    Args:
        model: Keras model, built.
        path: String, a folder that exists.
        inputs: Structure of the model's symbolic inputs.
        batch_sizes: Integers, at which it is measured what is faster.

    Raises:
        InputError: If the engine has no layer of it.
        RunError: If the outputs differ.
    """
    require_numba()
    from cb.engine import file

    small = compact(model, inputs=inputs)
    graph = graphs.trace(small)
    found = segments(graph)
    load: Callable[[str], Any] = file.load
    if {segment.compiled for segment in found} == {True, False}:
        write_segments(model, graph, found, path, batch_sizes)
        load = SegmentedNetwork
    else:
        network, sources, results = engine_graph(small)
        file.save(network, path, sources, results)
    _check(model, load, path, inputs)


def engine_graph(model: keras.Model) -> tuple[Graph, Sides, Sides]:
    """Return the graph of a model of plain layers, and its inputs and outputs.

    Args:
        model: Keras model, a graph of layers.

    Returns:
        Tuple of a `cb.engine.Graph` and two dicts of names to shapes without
        the batch.

    Raises:
        InputError: If the engine does not have a layer of it.
    """
    graph = graphs.trace(model)
    for call in graph.calls:
        if reason := obstacle(call):
            raise InputError(
                f"The engine cannot run model {model.name!r}, as it has no "
                f"kernel for layer {call.name!r}: {reason}. Expected layers of "
                "docs/export.md; the form 'sparse' runs others in TensorFlow."
            )
    sources = keras.tree.flatten(graph.inputs)
    named = checking.named_outputs(graph.outputs)
    names = [checking.argument_name(layer.name) for layer in graph.layers]
    return (
        lower(graph.calls, sources, [*named.values()]),
        {
            name: value.shape[1:]
            for name, value in zip(names, sources, strict=True)
        },
        {name: value.shape[1:] for name, value in named.items()},
    )


def _check(
    model: keras.Model, load: Callable[[str], Any], path: str, inputs: Any
) -> None:
    """Compare a written network with its model, on several batches."""
    network = load(path)
    batches = [network.draw(size) for size in (*checking.BATCHES, *_TILES)]
    # Layers that draw at inference too continue as those of the model do.
    with checking.kept_seeds(model) as seeds:
        network = load(path) if seeds else network
        for drawn in batches:
            tensors = {name: tf.constant(x) for name, x in drawn.items()}
            outputs = checking.infer(model, checking.arranged(inputs, tensors))
            expected = checking.named_outputs(outputs)
            found = network(drawn)
            if not isinstance(found, dict):
                found = dict.fromkeys(expected, found)
            for name, value in expected.items():
                checking.check_outputs(
                    model.name,
                    np.asarray(value),
                    found[name],
                    checking.tolerance(model),
                )
