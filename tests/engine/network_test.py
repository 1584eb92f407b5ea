"""The compiled engine computes what the reference does."""

import concurrent.futures

import numba
import numpy as np
import pytest

from cb.engine import reference
from cb.engine.fusion import fuse
from cb.engine.layout import lay_out
from cb.engine.network import Network
from cb.errors import InputError
from cb.kernels import network as compiled
from tests.engine.networks import Builder
from tests.engine.networks import perceptron
from tests.engine.networks import random_network
from tests.engine.networks import residual
from tests.engine.networks import same

EXAMPLES = (1, 3, 16, 21)
WAYS = [
    (images, together) for images in (1, 8, 16) for together in (False, True)
]


def check(graph, inputs, way=None):
    """Compare the outputs, whichever images are in a tile."""
    network = Network(graph)
    expected = reference.run(graph, *inputs)
    for one in [way] if way else WAYS:
        network.choices = {1: one}
        named = {f"input_{n}": x for n, x in enumerate(inputs)}
        found = network(named)
        found = [*found.values()] if isinstance(found, dict) else [found]
        for output, other in zip(found, expected, strict=True):
            assert output.dtype == "float32"
            largest = max(1, np.abs(other).max())
            np.testing.assert_allclose(output, other, atol=1e-5 * largest)


CONVOLUTIONS = [
    ((7, 6, 3), (3, 3), {"padding": same(1, (3, 3))}),
    ((7, 6, 3), (3, 3), {}),
    ((9, 9, 3), (3, 3), {"strides": (2, 2), "padding": ((0, 1), (0, 1))}),
    ((8, 9, 3), (3, 3), {"strides": (2, 3), "padding": ((1, 1), (1, 1))}),
    ((8, 8, 3), (1, 1), {"strides": (2, 2)}),
    ((32, 32, 2), (5, 5), {"padding": ((2, 2), (2, 2))}),
    ((9, 9, 4), (3, 3), {"dilation": (2, 3), "padding": ((2, 2), (3, 3))}),
    ((9, 9, 4), (2, 4), {"padding": ((0, 1), (1, 2))}),
    ((6, 7, 4), (3, 3), {"groups": 2, "padding": ((1, 1), (1, 1))}),
    ((6, 7, 6), (3, 3), {"groups": 6, "padding": ((1, 1), (1, 1))}),
    ((6, 7, 3), (3, 3), {"padding": ((3, 4), (5, 2))}),
    ((1, 40, 4), (1, 5), {"padding": ((0, 0), (8, 0)), "dilation": (1, 2)}),
    ((1, 1, 4), (3, 3), {"padding": ((1, 1), (1, 1))}),
    ((1, 1, 4), (1, 2), {"padding": ((0, 0), (0, 1))}),
    ((1, 1, 4), (3, 2), {"padding": ((0, 2), (0, 1))}),
    ((1, 2, 4), (1, 3), {"strides": (1, 2), "padding": ((0, 0), (0, 1))}),
    ((4, 5, 4), (4, 5), {}),
    ((1, 1, 37), (1, 1), {}),
    ((50, 3, 2), (3, 3), {"padding": ((1, 1), (1, 1))}),
]


@pytest.mark.slow
@pytest.mark.parametrize("shape, size, options", CONVOLUTIONS)
def test_convolution(shape, size, options):
    made = Builder(shape)
    x = made.convolve(0, size, 6, **options)
    x = made.relu(x)
    x = made.convolve(x, (1, 1), 3)
    check(made.graph(x), made.data(18))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 2, 3, 7])
def test_convolutions_in_parts(seed, monkeypatch):
    # Branches, second outputs, strides, groups, places of concatenations.
    made, graph = residual(seed=seed)
    if seed:
        made, graph = random_network(seed)
    data = made.data(18)
    whole = len(lay_out(fuse(graph), 1).steps)
    monkeypatch.setattr("cb.engine.layout._CACHED", 1)
    monkeypatch.setattr("cb.engine.layout._ENTRIES", 1)
    assert len(lay_out(fuse(graph), 1).steps) > whole
    check(graph, data)


@pytest.mark.parametrize("images", [8, 16, 32])
def test_planes_of_points_are_whole_vectors(images):
    """Each is stored as such, and the next may be written by another thread."""
    made = Builder((1, 1, 5))
    x = made.relu(made.convolve(0, (1, 1), 7))
    layout = lay_out(fuse(made.graph(made.convolve(x, (1, 1), 3))), images)
    planes = [one.plane for one in layout.geometry.values()]
    assert planes and all(plane % 16 == 0 for plane in planes)


def test_parts_are_of_channels_that_a_cache_holds():
    made = Builder((7, 7, 512), density=0.1)
    x = made.convolve(0, (1, 1), 64)
    parts = lay_out(fuse(made.graph(x)), 1).steps
    channels = [np.unique(np.nonzero(step.kernel)[2]) for step in parts]
    assert (np.diff(np.concatenate(channels)) > 0).all()
    assert len(parts) == 4
    made = Builder((1, 1, 512), density=0.1)
    x = made.convolve(0, (1, 1), 64)
    assert len(lay_out(fuse(made.graph(x)), 16).steps) == 1


ACTIVATIONS = [
    {"limit": 0.5},
    {"slope": 0.3, "threshold": 0.2, "limit": 0.7},
    *(
        {"function": name}
        for name in "sigmoid tanh silu elu hard_sigmoid hard_silu".split()
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("options", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(5, 4, 3), (1, 1, 9)])
def test_activation(shape, options):
    made = Builder(shape)
    first = made.relu(0, **options)
    second = made.relu(made.convolve(first, (1, 1), 4), **options)
    # What lies around an image is zero, not the function of zero.
    third = made.convolve(second, (3, 3), 4, padding=same(1, (3, 3)))
    check(made.graph(third, second, first), made.data(17))


@pytest.mark.slow
@pytest.mark.parametrize("function", ["max", "average"])
def test_pooling(function):
    made = Builder((9, 8, 3))
    around = {"padding": ((0, 1), (1, 1))}
    first = made.add(
        "pool", 0, function=function, size=(3, 3), strides=(2, 2), **around
    )
    second = made.add("global_pool", first, function=function)
    check(made.graph(first, second), made.data(17))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(6, 5, 3), (1, 1, 9)])
def test_softmax(shape):
    # It reads an image with a border, and writes one without.
    made = Builder(shape)
    x = made.convolve(0, (3, 3), 7, padding=same(1, (3, 3)))
    y = made.convolve(x, (3, 3), 4, padding=same(1, (3, 3)))
    check(made.graph(made.add("softmax", x), y), made.data(17))


@pytest.mark.slow
@pytest.mark.parametrize("widths", [(8, 8), (3, 20, 1), (17, 5)])
def test_parts_of_a_vector_leave_its_neighbours_alone(widths):
    made = Builder((1, 1, 64), density=1.0)
    # Its memory is free for the concatenation; what follows it is still read.
    before = made.convolve(0, (1, 1), sum(widths))
    kept = made.convolve(before, (1, 1), 24)
    parts = [made.convolve(kept, (1, 1), width) for width in widths]
    joined = made.add("concatenate", *parts)
    result = made.add("add", made.convolve(joined, (1, 1), 24), kept)
    for examples in (1, 17):
        check(made.graph(result), made.data(examples))


@pytest.mark.slow
def test_branches_meet():
    made = Builder((5, 6, 4), (5, 6, 4))
    sums = made.add("add", 0, 1, 0)
    twice = made.add("add", sums, sums)
    joined = made.add("concatenate", twice, 0, made.relu(sums))
    padded = made.add("pad", joined, padding=((1, 2), (0, 3)))
    once = made.convolve(padded, (3, 3), 4)
    flat = made.add("flatten", joined)
    end = made.add("softmax", made.convolve(flat, (1, 1), 7))
    check(made.graph(end, once, padded, sums), made.data(17))


@pytest.mark.slow
def test_values_written_twice():
    made = Builder((5, 6, 4))
    x = made.convolve(0, (3, 3), 4, padding=same(1, (3, 3)))
    x = made.add("add", x, 0)
    scaled = made.relu(made.scale(x))
    activated = made.relu(x, limit=0.5)
    y = made.add("add", made.convolve(scaled, (1, 1), 4), activated)
    check(made.graph(made.scale(y), x), made.data(17))


@pytest.mark.slow
@pytest.mark.parametrize("examples", EXAMPLES)
def test_residual_network(examples):
    made, graph = residual()
    check(graph, made.data(examples))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_random_network(seed):
    made, graph = random_network(seed)
    check(graph, made.data(17))


@pytest.mark.slow
def test_perceptron():
    made, graph = perceptron(70, 33, 50, 10)
    for images in (1, 16, 32, 64):
        check(graph, made.data(70), (images, False))
        check(graph, made.data(70), (images, True))


@pytest.mark.slow
@pytest.mark.parametrize("before", [[], ["scale"], ["scale", "relu"]])
def test_flattened_inputs_are_vectors(before):
    made = Builder((4, 5, 3))
    x = 0
    for kind in before:
        x = getattr(made, kind)(x)
    x = made.convolve(made.add("flatten", x), (1, 1), 40)
    graph = made.graph(made.convolve(made.relu(x), (1, 1), 7))
    assert {shape[:2] for shape in fuse(graph).shapes.values()} == {(1, 1)}
    for way in (*WAYS, (64, False)):
        check(graph, made.data(70), way)


def test_inputs_with_another_user_are_no_vectors():
    made = Builder((4, 5, 3))
    image = made.convolve(0, (3, 3), 2)
    vector = made.convolve(made.add("flatten", 0), (1, 1), 7)
    shapes = fuse(made.graph(image, vector)).shapes
    assert shapes[0] == (4, 5, 3)


@pytest.mark.slow
def test_no_weights_at_all():
    made, graph = residual(density=0.0)
    check(graph, made.data(17))


@pytest.mark.slow
def test_choices_are_of_the_batch_sizes_asked_for():
    made, graph = residual()
    network = Network(graph)
    network.choose([1, 20])
    assert [*network.choices] == [1, 20]
    assert network.choices[1][0] == 1
    (x,) = made.data(20)
    (expected,) = reference.run(graph, x)
    np.testing.assert_allclose(network(x), expected, rtol=1e-4, atol=1e-4)
    assert network(x[:0]).shape == (0, 1, 1, 5)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[0], [-1], ["a"], [1.5], [True], [], 3])
def test_batch_sizes_are_positive_integers(sizes):
    _, graph = residual()
    network = Network(graph)
    with pytest.raises(InputError, match="`batch_sizes`.*positive integers"):
        network.choose(sizes)
    assert not network.choices


def read_only(x):
    x = x.copy()
    x.setflags(write=False)
    return x


def between_floats(x):
    moved = np.frombuffer(b"-" + x.tobytes(), "float32", offset=1)
    return moved.reshape(x.shape)


@pytest.mark.slow
@pytest.mark.parametrize("given", [read_only, between_floats])
def test_inputs_of_any_kind_run_what_is_compiled(given):
    made, graph = residual()
    network = Network(graph)
    (x,) = made.data(3)
    expected = network(x)
    known = [*compiled.run.signatures]
    np.testing.assert_array_equal(network(given(x)), expected)
    assert compiled.run.signatures == known


@pytest.mark.slow
def test_threads_may_call_at_once():
    made, graph = residual()
    network = Network(graph)
    data = [made.data(n)[0] for n in (1, 5, 16, 33) * 4]
    network.choices = {1: (1, True), 5: (1, False), 16: (16, True)}
    expected = [reference.run(graph, x)[0] for x in data]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = [*pool.map(network, data)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


WRONG = [
    (np.zeros((2, 9, 9, 4)), "shape"),
    (np.zeros((9, 9, 3)), "shape"),
    (np.full((2, 9, 9, 3), np.nan), "finite"),
    (np.full((2, 9, 9, 3), np.inf), "finite"),
    (np.full((2, 9, 9, 3), "a"), "real"),
    (np.zeros((2, 9, 9, 3), "complex64"), "real"),
    (None, "real"),
    ([[1], [2, 3]], "array"),
]


@pytest.mark.slow
@pytest.mark.parametrize("x, reason", WRONG)
def test_wrong_inputs_are_refused(x, reason):
    _, graph = residual()
    with pytest.raises(InputError, match=reason):
        Network(graph)(x)


@pytest.mark.slow
def test_numbers_of_examples_must_agree():
    made = Builder((5, 6, 4), (5, 6, 4))
    network = Network(made.graph(made.add("add", 0, 1)))
    x, y = np.zeros((2, 5, 6, 4)), np.zeros((3, 5, 6, 4))
    with pytest.raises(InputError, match="as many examples"):
        network({"input_0": x, "input_1": y})
    with pytest.raises(InputError, match="keys"):
        network(x)
    with pytest.raises(InputError, match="keys"):
        network({"input_0": x})


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch):
    compile_function = numba.njit

    def refuse(function, cache=False, **options):
        if cache:
            raise RuntimeError("no locator available")
        return compile_function(function, **options)

    monkeypatch.setattr(numba, "njit", refuse)
    kept = compiled._kept(lambda number: number + 1)
    assert kept.targetoptions["nogil"] and kept(1) == 2
