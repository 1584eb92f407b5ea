"""Compiled networks of bytes equal a NumPy simulator bit for bit."""

import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from cb.engine.int8_features import lanes
from cb.engine.int8_program import compile_operations
from cb.engine.int8_program import tiles
from cb.kernels.tiles import aligned
from tests.commands import ROOT
from tests.engine import int8_networks
from tests.engine.int8_simulator import simulate

compiled = pytest.mark.skipif(
    not lanes(), reason="the processor has no vpdpbusd"
)


def run(network, x):
    """Run `Operations` in every way; return floats as the simulator does."""
    height, width, channels = network.result
    found = []
    for tile, together in itertools.product(tiles(network), (False, True)):
        plan = compile_operations(network, tile)
        counters = np.zeros(2 + 2 * len(plan.arrays[0]) * len(x), "int64")
        y = np.empty((len(x), height * width * channels), "float32")
        memory = aligned((plan.floats,))
        rows = x.reshape(len(x), math.prod(network.source))
        if together:
            own = np.empty_like(rows), np.empty_like(y)
            shared = plan.arrays, memory, *own, tile, counters
            shared += np.array([1, 0, 0, 0]), rows, y, True
            assert plan.code.run_together(*shared)
        else:
            plan.code.run(plan.arrays, memory, rows, y, tile, counters)
        assert not counters[1], "not finite"
        found.append(y.reshape(len(x), height, width, channels))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    return found[0]


def check(network, count=2):
    """Compare all outputs with the simulator."""
    x = int8_networks.images(network, count)
    expected, _ = simulate(network, x)
    np.testing.assert_array_equal(run(network, x), expected)
    assert len(np.unique(expected)) > 1


def check_all():
    for seed in range(3):
        check(int8_networks.residual(seed, 10 + 3 * seed))
    for seed, window in enumerate(int8_networks.WINDOWS):
        check(int8_networks.single(seed, window))
    for groups, outputs in ((2, 6), (8, 16)):
        window = int8_networks.SAME
        check(int8_networks.single(0, window, groups, outputs=outputs))
    for seed, window in enumerate(int8_networks.WINDOWS):
        check(int8_networks.depthwise(seed, window))


@compiled
def test_networks_equal_the_simulator():
    check_all()


@compiled
@pytest.mark.parametrize("count", [0, 1, 16, 17, 96, 130])
def test_batches_of_dense_layers_equal_the_simulator(count):
    network = int8_networks.perceptron(0)
    x = int8_networks.images(network, count)
    expected, _ = simulate(network, x)
    np.testing.assert_array_equal(run(network, x), expected)


@compiled
@pytest.mark.parametrize("count", [1, 20])
def test_wide_dense_layers_equal_the_simulator(count):
    for seed in range(3):
        check(int8_networks.wide_perceptron(seed), count)


@compiled
def test_large_images_equal_the_simulator():
    source = (40, 33, 5)
    network = int8_networks.single(0, int8_networks.SAME, source=source)
    check(network, 1)


@compiled
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_not_finite_are_noticed(bad):
    network = int8_networks.perceptron(0)
    x = int8_networks.images(network, 3)
    x[2, 0, 0, 5] = bad
    with pytest.raises(AssertionError, match="finite"):
        run(network, x)


def in_process(code, folder, **environment):
    """Run code where Numba compiles for another processor."""
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(folder),
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


LANES = "from cb.engine.int8_features import lanes; print(lanes())"
COMPILE = """
import numba, numpy
from cb.engine import int8_kernels
from cb.engine.int8_program import compile_operations
from tests.engine import int8_networks

plan = compile_operations(int8_networks.residual(0))
rows = numpy.zeros((1, 4), "float32")
counters = numpy.zeros(2, "int64")
given = plan.arrays, rows[0], rows, rows, 1, counters
int8_kernels.run.compile(tuple(numba.typeof(one) for one in given))
(code,) = int8_kernels.run.inspect_asm().values()
print(*{line.strip() for line in code.split("\\n") if "vpdpbusd" in line})
"""
CHECK = "from tests.engine.int8_kernels_test import check_all; check_all()"
# Features that Numba compiles for, and the sums that an instruction adds to.
FEATURES = {
    "+avx2,+fma": 0,
    "+avx2,+avxvnni": 8,
    "+avx2,+avx512f,+avx512vl,+avx512vnni": 8,
    "+avx2,+avx512f,+avx512bw,+avx512vl,+avx512vnni": 16,
    "-avx2,-avxvnni,-avx512vnni": 0,
    "": 0,
}


@pytest.mark.slow
@pytest.mark.parametrize("features", FEATURES)
def test_features_that_numba_compiles_for_decide(features, tmp_path):
    found = in_process(
        LANES, tmp_path, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=features
    )
    assert found.stdout.strip() == str(FEATURES[features]), found.stderr


@pytest.mark.slow
def test_avx_vnni_alone_compiles_to_its_own_instruction(tmp_path):
    found = in_process(
        COMPILE,
        tmp_path,
        NUMBA_CPU_NAME="haswell",
        NUMBA_CPU_FEATURES="+avx2,+fma,+avxvnni",
    )
    assert found.returncode == 0, found.stderr
    assert "{vex}\tvpdpbusd" in found.stdout
    assert "%ymm" in found.stdout and "%zmm" not in found.stdout


@compiled
@pytest.mark.slow
def test_short_vectors_equal_the_simulator(tmp_path):
    if lanes() == 16:
        features = "+avx2,+fma,+avx512f,+avx512vl,+avx512vnni"
    else:
        features = "+avx2,+fma,+avxvnni"
    found = in_process(
        CHECK, tmp_path, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=features
    )
    assert found.returncode == 0, found.stderr
