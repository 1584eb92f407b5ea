"""Quantized graphs: bytes equal the simulator, and floats come near."""

import concurrent.futures
import dataclasses
import os

import numpy as np
import pytest

from cb.engine import NAME
from cb.engine import Node
from cb.engine import connect
from cb.engine import load
from cb.engine import reference
from cb.engine.calibration import calibrate
from cb.engine.calibration import fold
from cb.engine.calibration import round_kernels
from cb.engine.int8_features import lanes
from cb.engine.int8_network import QuantizedNetwork
from cb.engine.quantization import quantize
from cb.errors import InputError
from tests.commands import run_code
from tests.engine import networks
from tests.engine.int8_simulator import simulate

compiled = pytest.mark.skipif(
    not lanes(), reason="the processor has no vpdpbusd"
)


def quantized(made, graph, examples=24):
    """Return the quantized graph, and the data that it was calibrated on."""
    (x,) = made.data(examples)
    folded = fold(graph)
    return round_kernels(folded, calibrate(folded, [x], 99.99)), x


def mixed(*, relu):
    """Build every kind of node, with odd numbers of channels."""
    made = networks.Builder((12, 12, 3))
    around = networks.same(1, (3, 3))
    x = made.relu(made.convolve(0, (3, 3), 7))
    y = made.convolve(x, (3, 3), 10, padding=around)
    y = made.add("activation", y, function="silu")
    x = made.add("concatenate", x, y, x)
    options = {"size": (2, 2), "strides": (2, 2)}
    none = ((0, 0), (0, 0))
    x = made.add("pool", x, function="max", padding=((1, 0), (0, 1)), **options)
    x = made.add("pool", x, function="average", padding=none, **options)
    x = made.relu(
        made.convolve(x, (3, 3), 24, groups=24, padding=around), limit=6.0
    )
    x = made.add("pad", x, padding=((1, 0), (2, 1)))
    x = made.relu(x, slope=0.1)
    x = made.add("add", x, made.convolve(x, (1, 1), 24), made.scale(x))
    y = made.convolve(x, (3, 3), 9, strides=(2, 2), dilation=(1, 2))
    y = made.add("global_pool", y, function="max")
    x = made.relu(made.convolve(made.add("flatten", x), (1, 1), 20))
    x = made.add("concatenate", x, y)
    x = made.convolve(x, (1, 1), 6)
    return made, made.graph(made.relu(x) if relu else x)


def vectors():
    """Build dense layers whose parts are joined and added."""
    made = networks.Builder((1, 1, 150), density=0.1)
    x = made.relu(made.convolve(0, (1, 1), 75))
    y = made.add("activation", made.convolve(x, (1, 1), 44), function="tanh")
    z = made.add("concatenate", x, y, x)
    x = made.add("add", made.convolve(z, (1, 1), 44), y)
    x = made.relu(made.scale(x), limit=6.0)
    return made, made.graph(made.convolve(x, (1, 1), 9))


def joined(shape, *widths):
    """Build a convolution whose output is copied beside others of it."""
    made = networks.Builder(shape)
    x = made.relu(made.convolve(0, (1, 1), 32))
    parts = [made.convolve(x, (1, 1), width) for width in widths]
    return made, made.graph(made.add("concatenate", *parts))


def flattened(scaled):
    """Build dense layers on the numbers of an image."""
    made = networks.Builder((6, 5, 4), density=0.2)
    x = made.add("flatten", made.scale(0) if scaled else 0)
    x = made.relu(made.convolve(x, (1, 1), 50))
    return made, made.graph(made.convolve(x, (1, 1), 9))


def logits(graph):
    """Return a graph without its softmax."""
    last = graph.nodes[-1]
    if last.kind != "softmax":
        return graph
    return dataclasses.replace(
        graph, nodes=graph.nodes[:-1], outputs=last.inputs
    )


GRAPHS = {
    "residual": lambda: networks.residual(width=8, side=12),
    "perceptron": lambda: networks.perceptron(40, 60, 30, 10),
    "vectors": vectors,
    "mixed": lambda: mixed(relu=False),
    "activation at the end": lambda: mixed(relu=True),
    "flattened": lambda: flattened(scaled=False),
    "scaled and flattened": lambda: flattened(scaled=True),
    "parts of four at the end": lambda: joined((1, 1, 16), 4, 4),
    "parts of any size at the end": lambda: joined((5, 4, 6), 3, 6, 1),
}


@pytest.fixture(params=GRAPHS, scope="module")
def case(request):
    return quantized(*GRAPHS[request.param]())


def test_the_simulator_comes_near_the_floats(case):
    graph, x = case
    found, _ = simulate(quantize(graph), x)
    (expected,) = reference.run(logits(graph), x)
    error = np.abs(found - expected).mean() / np.std(expected)
    assert error < 0.03


@compiled
def test_networks_equal_the_simulator(case):
    graph, x = case
    expected, _ = simulate(quantize(graph), x)
    network = QuantizedNetwork(logits(graph))
    assert network.arithmetic == "int8"
    network.choose([1, 16])
    np.testing.assert_array_equal(network(x), expected)
    for way in ((1, False), (1, True)):
        network.choices = {1: way}
        np.testing.assert_array_equal(network(x[:1]), expected[:1])
    assert len(network(x[:0])) == 0


@pytest.mark.parametrize("seed", range(24))
def test_random_networks(seed):
    graph, x = quantized(*networks.random_network_of_bytes(seed))
    expected, _ = simulate(quantize(graph), x)
    (floats,) = reference.run(logits(graph), x)
    error = np.abs(expected - floats).mean() / np.std(floats)
    assert error < 0.05
    network = QuantizedNetwork(logits(graph))
    if network.arithmetic == "int8":
        np.testing.assert_array_equal(network(x), expected)


@pytest.mark.parametrize("flatten", [False, True])
def test_softmax_is_computed_from_the_logits(flatten):
    graph, x = quantized(*networks.residual(seed=3))
    y = QuantizedNetwork(logits(graph))(x).astype("float64")
    if flatten:
        # What changes nothing may follow.
        node = Node("flatten", "end", graph.outputs, max(graph.shapes) + 1)
        nodes = (*graph.nodes, node)
        sources = {n: graph.shapes[n] for n in graph.inputs}
        ranges, outputs = graph.ranges, [node.output]
        graph = connect(sources, outputs, nodes)
        graph = dataclasses.replace(graph, ranges=ranges)
    y = np.exp(y - y.max(-1, keepdims=True))
    expected = y / y.sum(-1, keepdims=True)
    np.testing.assert_allclose(
        QuantizedNetwork(graph)(x), expected, rtol=1e-5, atol=1e-7
    )


def test_files_hold_the_same_network(case, tmp_path):
    graph, x = case
    network = QuantizedNetwork(graph)
    network.save(str(tmp_path / "new" / "folder"))
    read = load(str(tmp_path / "new" / "folder"))
    assert isinstance(read, QuantizedNetwork)
    np.testing.assert_array_equal(read(x), network(x))


@pytest.mark.parametrize("inside", ["", "folder"])
def test_a_place_that_cannot_be_written_is_refused(inside, tmp_path):
    graph, _ = quantized(*networks.perceptron(30, 20))
    (tmp_path / "file").write_text("")
    path = str(tmp_path / "file" / inside) if inside else tmp_path / "file"
    with pytest.raises(InputError, match="`path` must be a folder"):
        QuantizedNetwork(graph).save(path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_weights_take_a_byte_and_one_for_their_place(tmp_path):
    graph, _ = quantized(*networks.perceptron(600, 800, density=0.1))
    QuantizedNetwork(graph).save(str(tmp_path))
    size = os.path.getsize(tmp_path / NAME)
    nonzeros = np.count_nonzero(graph.nodes[0].arrays["kernel"])
    assert size < 2 * nonzeros + 12 * 800 + 3000


def test_folded_scales_change_no_outputs():
    made, graph = networks.residual(seed=5)
    (x,) = made.data(4)
    folded = fold(graph)
    assert len(folded.nodes) < len(graph.nodes)
    (expected,), (found,) = (reference.run(one, x) for one in (graph, folded))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_whole_range_is_that_of_all_numbers():
    """A sample of them need not hold the largest."""
    made = networks.Builder((64, 64, 2))
    graph = made.graph(made.convolve(0, (1, 1), 2))
    images = made.data(1024)[0]
    images[700, 3, 5, 1] = 1000.0
    batches = np.array_split(images, 32)
    found = {p: calibrate(graph, batches, p)[0] for p in (99.9, 100)}
    assert found[100] == (images.min(), 1000.0)
    assert found[99.9][1] < 10


def test_outliers_do_not_widen_a_range():
    made, graph = networks.perceptron(50, 20)
    (x,) = made.data(400)
    x[0, 0, 0, 0] = 1000.0
    cut, whole = (calibrate(graph, [x[:200], x[200:]], p) for p in (99.9, 100))
    assert whole[0][1] == 1000
    assert 2 < cut[0][1] < 10
    network = QuantizedNetwork(round_kernels(graph, cut))
    assert np.isfinite(network(x)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_inputs_must_be_finite(bad):
    graph, x = quantized(*networks.perceptron(30, 20))
    x[3, 0, 0, 2] = bad
    with pytest.raises(InputError, match="finite. Received: 1 number"):
        QuantizedNetwork(graph)(x)


@pytest.mark.parametrize(
    "x, reason",
    [
        (np.zeros((2, 1, 1, 31)), "shape"),
        (np.zeros(30), "shape"),
        (np.full((2, 1, 1, 30), "a"), "real"),
        (None, "real"),
        ([[1], [2, 3]], "array"),
        ({"another": np.zeros((2, 1, 1, 30))}, "keys"),
    ],
)
def test_wrong_inputs_are_refused(x, reason):
    graph, _ = quantized(*networks.perceptron(30, 20))
    with pytest.raises(InputError, match=reason) as raised:
        QuantizedNetwork(graph)(x)
    assert "\n" not in str(raised.value)


def test_what_has_no_form_in_bytes_is_refused():
    made = networks.Builder((6, 6, 4))
    around = networks.same(1, (3, 3))
    x = made.add(
        "pool",
        0,
        function="average",
        size=(3, 3),
        strides=(1, 1),
        padding=around,
    )
    graph, _ = quantized(made, made.graph(x))
    with pytest.raises(InputError, match="form in bytes"):
        quantize(graph)


@pytest.mark.parametrize("width", [4, 6])
def test_a_flattened_image_in_a_concatenation_is_refused(width):
    # Whether or not its place is one of four channels.
    made = networks.Builder((3, 3, width))
    mean = made.add("global_pool", 0, function="average")
    x = made.add("concatenate", mean, made.add("flatten", 0))
    graph, _ = quantized(made, made.graph(made.convolve(x, (1, 1), 5)))
    with pytest.raises(InputError, match="reads what is flattened") as raised:
        QuantizedNetwork(graph)
    assert "\n" not in str(raised.value)


@compiled
def test_a_network_without_nodes():
    made = networks.Builder((2, 3, 5))
    graph, x = quantized(made, made.graph(0))
    found = QuantizedNetwork(graph)(x)
    step = np.diff(graph.ranges[0])[0] / 255
    inside = x.clip(*graph.ranges[0])
    np.testing.assert_allclose(found, inside, atol=0.51 * step)


FLOATS = """
import sys, warnings
import numpy
from cb.engine import load

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    network = load(sys.argv[1])
network.choose([4])
assert network.arithmetic == "float32", network.arithmetic
assert any("runs as floats" in str(one.message) for one in caught)
numpy.save(sys.argv[2], network(numpy.load(sys.argv[3])))
assert "tensorflow" not in sys.modules
"""


@pytest.mark.slow
def test_other_processors_run_floats_and_say_so(tmp_path):
    graph, x = quantized(*networks.perceptron(40, 60, 30, 10))
    QuantizedNetwork(graph).save(str(tmp_path))
    files = [str(tmp_path / name) for name in ("found.npy", "x.npy")]
    np.save(files[1], x)
    run_code(
        FLOATS,
        str(tmp_path),
        *files,
        NUMBA_CPU_NAME="haswell",
        NUMBA_CPU_FEATURES="+avx2,+fma",
        NUMBA_CACHE_DIR=str(tmp_path / "cache"),
    )
    (expected,) = reference.run(graph, x)
    np.testing.assert_allclose(np.load(files[0]), expected, rtol=1e-4)


@compiled
def test_threads_may_call_at_once():
    graph, x = quantized(*networks.residual(seed=7), examples=40)
    network = QuantizedNetwork(graph)
    expected = network(x)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: network(x), range(20)):
            np.testing.assert_array_equal(found, expected)
