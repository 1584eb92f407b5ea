import numpy as np
import pytest

from cb.engine.lanes import Lanes
from cb.engine.layout import LANES
from cb.engine.layout import Entries


def entries(matrix):
    """List the nonzeros of a matrix `(outputs, inputs)`."""
    outputs, inputs = np.nonzero(matrix)
    counts = np.bincount(outputs, minlength=len(matrix))
    zeros = np.zeros_like(inputs)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Entries(starts, inputs, zeros, zeros, matrix[outputs, inputs])


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(16, 32), (37, 100), (5, 3)])
def test_every_weight_has_one_step_and_lane(shape, density):
    random = np.random.default_rng(0)
    matrix = random.normal(size=shape) * (random.random(shape) < density)
    found = Lanes.of(entries(matrix))
    again = np.zeros((-(-len(matrix) // LANES) * LANES, shape[1] + 32))
    step = 0
    for group, count in enumerate(found.counts):
        for _ in range(count):
            for lane in range(LANES):
                column = found.bases[step] + found.lanes[step, lane]
                row = group * LANES + lane
                again[row, column] += found.weights[step, lane]
            step += 1
    assert step == len(found.weights)
    np.testing.assert_array_equal(
        again[: shape[0], : shape[1]], matrix.astype("float32")
    )
    assert not again[:, shape[1] :].any() and not again[shape[0] :].any()
