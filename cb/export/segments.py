"""Networks of which the engine runs a part and TensorFlow the rest."""

import dataclasses
import json
import os
from collections.abc import Sequence

import keras
import tensorflow as tf

from cb.errors import InputError
from cb.export import checking
from cb.export.any_form import SEGMENTS
from cb.export.choice import dense_calls
from cb.export.graph import Call
from cb.export.graph import Graph
from cb.export.graph import Value
from cb.export.lowering import lower
from cb.export.lowering import obstacle
from cb.export.products import product
from cb.export.program import Segment
from cb.export.program import connect
from cb.export.saved_model import refuse_tables
from cb.export.saved_model import refused_in_a_line
from cb.export.segmented import VERSION
from cb.export.sparse_module import SparseGraph
from cb.files.aliases import plain_name


def segments(graph: Graph) -> list[Segment]:
    """Divide a graph into segments for the engine and for TensorFlow.

    The engine runs only segments with kernels, since for others alone it is
    not worth leaving TensorFlow.

    Args:
        graph: `Graph`.

    Returns:
        List of `Segment`, in the order to run them in.
    """
    compiled = {call for call in graph.calls if not obstacle(call)}
    while True:
        found = _divide(graph, compiled)
        weak = [
            s for s in found if s.compiled and not any(map(_kernel, s.calls))
        ]
        if not weak:
            connect(graph, found)
            return found
        compiled.difference_update(*[segment.calls for segment in weak])


def _kernel(call: Call) -> bool:
    weights = getattr(call.operation, "weights", ())
    return any(len(weight.shape) > 1 for weight in weights)


def _divide(graph: Graph, compiled: set[Call]) -> list[Segment]:
    """Run all that can run in one place before the other's turn comes."""
    found: list[Segment] = []
    known = {*keras.tree.flatten(graph.inputs)}
    left, place = graph.calls, True
    while left:
        taken, later = [], []
        for call in left:
            if (call in compiled) is place and known.issuperset(call.sources):
                known.update(call.results)
                taken.append(call)
            else:
                later.append(call)
        if taken:
            found.append(Segment(taken, compiled=place))
        left, place = later, not place
    return found


def write_segments(
    model: keras.Model,
    graph: Graph,
    found: Sequence[Segment],
    folder: str,
    batch_sizes: Sequence[int],
) -> None:
    """Write segments: a SavedModel, and beside it networks of the engine.

    Args:
        model: Keras model, for messages.
        graph: `Graph`, that of the model.
        found: What `segments` returned.
        folder: String, a folder that exists.
        batch_sizes: Integers, at which it is measured what is faster.

    Raises:
        InputError: If TensorFlow cannot export a segment by itself.
    """
    refuse_tables(model)
    crossing = [value for one in found for value in one.sources]
    if any(value.masked for value in crossing):
        raise InputError(
            f"The engine cannot run a part of model {model.name!r}, as masks "
            "of steps would have to pass between segments. Expected masked "
            "layers after each other; the form 'sparse' has no segments then."
        )
    with plain_name(folder) as path, refused_in_a_line(model):
        _write(graph, found, path, batch_sizes)


def _write(graph, found, path, batch_sizes) -> None:
    from cb.engine import file

    numbers: dict[Value, int] = {}

    def numbered(values) -> list[int]:
        return [numbers.setdefault(value, len(numbers)) for value in values]

    calls = [call for one in found if not one.compiled for call in one.calls]
    products = {call: item for call in calls if (item := product(call))}
    module = SparseGraph(
        dataclasses.replace(graph, calls=calls),
        products,
        dense_calls(products, batch_sizes),
    )
    sources = keras.tree.flatten(graph.inputs)
    names = [checking.argument_name(layer.name) for layer in graph.layers]
    results = checking.named_outputs(graph.outputs)
    description = {
        "version": VERSION,
        "sources": numbered(sources),
        "inputs": {
            name: (value.shape, value.dtype)
            for name, value in zip(names, sources, strict=True)
        },
        "segments": [
            {
                "compiled": segment.compiled,
                "sources": numbered(segment.sources),
                "results": numbered(segment.results),
            }
            for segment in found
        ],
        "outputs": dict(zip(results, numbered(results.values()), strict=True)),
    }
    for index, segment in enumerate(found):
        if not segment.compiled:
            module.add_segment(index, segment, numbered(segment.sources))
    tf.saved_model.save(module.module, path)
    for index, segment in enumerate(found):
        if segment.compiled:
            inside = os.path.join(path, os.path.dirname(SEGMENTS), str(index))
            os.makedirs(inside)
            sides = [
                {f"x{numbers[value]}": value.shape[1:] for value in values}
                for values in (segment.sources, segment.results)
            ]
            network = lower(segment.calls, segment.sources, segment.results)
            file.save(network, inside, *sides)
    with open(os.path.join(path, SEGMENTS), "w") as stream:
        json.dump(description, stream, indent=1)
