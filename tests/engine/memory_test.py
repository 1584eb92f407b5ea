"""Values share memory, and find there what they need."""

import itertools

import numpy as np
import pytest

from cb.engine import reference
from cb.engine.depth_first import depth_first
from cb.engine.fusion import fuse
from cb.engine.layout import lay_out
from cb.engine.memory import Memory
from cb.engine.memory import bordered
from cb.engine.memory import overwritten
from cb.engine.memory import places
from cb.engine.plan import plan
from cb.kernels.tiles import aligned
from tests.engine.networks import Builder
from tests.engine.networks import random_network
from tests.engine.networks import residual
from tests.engine.networks import same


@pytest.mark.parametrize("seed", range(20))
def test_blocks_that_are_needed_at_once_do_not_overlap(seed):
    random = np.random.default_rng(seed)
    memory, blocks = Memory(), []
    for _ in range(40):
        size, first = random.integers(1, 1000), random.integers(0, 20)
        last = first + random.integers(0, 8)
        start = memory.place(int(size), int(first), int(last))
        blocks.append((start, start + size, first, last))
    for one, other in itertools.combinations(blocks, 2):
        together = one[2] <= other[3] and other[2] <= one[3]
        apart = one[1] <= other[0] or other[1] <= one[0]
        assert apart or not together
    assert memory.size >= max(end for _, end, _, _ in blocks)
    busiest = max(
        sum(end - start for start, end, a, b in blocks if a <= step <= b)
        for step in range(28)
    )
    assert memory.size <= 2 * busiest + 64 * len(blocks)


def mobile(strides=(1, 1), multiplier=1):
    """Build an inverted residual block with another convolution behind it."""
    made = Builder((7, 6, 5), seed=3)
    x = made.relu(made.convolve(0, (1, 1), 12))
    padding = same(1, (3, 3))
    options = {"groups": 12, "strides": strides, "padding": padding}
    x = made.relu(made.convolve(x, (3, 3), 12 * multiplier, **options))
    x = made.convolve(x, (1, 1), 5)
    if strides == (1, 1):
        x = made.add("add", x, 0)
    return made, made.graph(made.convolve(x, (3, 3), 4, padding=padding))


def chain():
    """Build depthwise convolutions after each other."""
    made = Builder((7, 6, 5), seed=4)
    x = 0
    for _ in range(4):
        x = made.convolve(x, (1, 1), 6)
        for _ in range(3):
            padding = same(1, (3, 3))
            x = made.convolve(x, (3, 3), 6, groups=6, padding=padding)
    return made, made.graph(x)


def beside():
    """Build depthwise parts of a concatenation, and one that is an output."""
    made = Builder((7, 6, 5), seed=5)
    parts = []
    for _ in range(3):
        x = made.convolve(0, (1, 1), 8)
        parts.append(made.convolve(x, (2, 3), 8, groups=8))
    return made, made.graph(made.add("concatenate", *parts), x)


def scaled():
    """Build a depthwise convolution of what is scaled for another layer."""
    made = Builder((7, 6, 5), seed=6)
    x = made.add("add", made.convolve(0, (1, 1), 5), 0)
    y = made.relu(made.scale(made.convolve(x, (1, 1), 9)))
    y = made.convolve(y, (3, 3), 9, groups=9)
    return made, made.graph(y, x)


def narrow(width, stride):
    """Build a stride that leaves some phases without a column."""
    made = Builder((9, width, 4), seed=1, density=0.9)
    x = made.relu(made.convolve(0, (1, 1), 8))
    x = made.relu(made.convolve(x, (1, 1), 8))
    padding = ((1, 1), (1, 1))
    strides = (stride, stride)
    x = made.convolve(x, (3, 3), 8, padding=padding, strides=strides)
    return made, made.graph(made.relu(made.convolve(x, (1, 1), 8)))


NETWORKS = [
    lambda: narrow(1, 2),
    lambda: narrow(2, 3),
    mobile,
    lambda: mobile((2, 2)),
    lambda: mobile((2, 1), 2),
    chain,
    beside,
    scaled,
    residual,
    *(lambda seed=seed: random_network(seed) for seed in range(24)),
]


def run(graph, x, images, memory=None):
    """Run a network; return its first output."""
    used = plan(fuse(graph), images)
    if memory is None:
        memory = np.zeros(used.floats)
    floats = aligned((used.floats,))
    floats[:] = memory
    width = sum(int(np.prod(graph.shapes[v])) for v in graph.outputs)
    y = np.empty((len(x), width), "float32")
    rows, counters = x.reshape(len(x), -1), np.zeros(2, "int64")
    used.code.run(used.arrays, floats, rows, y, images, counters)
    return y


def expected(graph, x):
    rows = [y.reshape(len(x), -1) for y in reference.run(graph, x)]
    return np.concatenate(rows, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("images", [1, 8, 16])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kept", [1, 1500, 2**18])
def test_other_values_may_have_been_everywhere(
    network, images, kept, monkeypatch
):
    # All is NaN but the zeros that nothing has been written over.
    monkeypatch.setattr("cb.engine.depth_first._KEPT", kept)
    made, graph = network()
    fused = depth_first(fuse(graph), images)
    layout = lay_out(fused, images)
    found, floats = places(layout, fused.inputs, fused.outputs, images)
    memory = np.full(floats, np.nan, "float32")
    changed = overwritten(layout, found, fused.inputs)
    for value in {*bordered(layout)} - changed:
        size = layout.shapes[value][2] * layout.geometry[value].plane
        memory[found[value] : found[value] + size] = 0
    (x,) = made.data(19)
    other = expected(graph, x)
    largest = max(1, np.abs(other).max())
    result = run(graph, x, images, memory)
    np.testing.assert_allclose(result, other, atol=1e-5 * largest)


def test_depthwise_convolutions_take_turns_with_those_before(monkeypatch):
    made, graph = mobile()
    fused = fuse(graph)
    assert depth_first(fused, 16).steps == fused.steps
    # A channel of 16 images of 7x6 floats.
    monkeypatch.setattr("cb.engine.depth_first._KEPT", 4 * 16 * 7 * 6 * 3)
    steps = depth_first(fused, 16).steps
    groups = [step.options["groups"] for step in steps]
    assert groups == [1, 3] * 4 + [1, 1]
    assert [step.place for step in steps] == [0, 0, 0, 3, 0, 6, 0, 9, 0, 0]
    plain = places(lay_out(fused, 16), fused.inputs, fused.outputs, 16)[1]
    assert plan(fused, 16).floats < 0.8 * plain


def test_values_that_others_need_too_are_computed_once(monkeypatch):
    monkeypatch.setattr("cb.engine.depth_first._KEPT", 1)
    _, graph = beside()
    fused = fuse(graph)
    names = [step.name for step in depth_first(fused, 1).steps]
    assert names.count("convolution_3") == names.count("convolution_4") == 8
    # An output of the network.
    assert names.count("convolution_5") == names.count("convolution_6") == 1
