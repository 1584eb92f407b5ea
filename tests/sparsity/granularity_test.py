"""Cells of masks, against loops over every weight."""

import itertools

import numpy as np
import pytest

from cb import layers
from cb.errors import InputError
from cb.sparsity import granularity

CONV = (3, 2, 4, 5)


@pytest.mark.parametrize(
    "spec,expected",
    [
        ("weight", (1, 1, 1, 1)),
        ("row", (1, 2, 1, 1)),
        ("slice", (3, 2, 1, 1)),
        ("filter", (3, 2, 4, 1)),
        ("block(rows=2, columns=3)", (1, 1, 2, 3)),
        ("block", (1, 1, 4, 4)),
        ("n_by_m(n=1, m=2)", (1, 1, 1, 1)),
    ],
)
def test_tile_of_a_convolution(spec, expected):
    assert granularity.block_shape(spec, CONV, spatial=2) == expected


@pytest.mark.parametrize("spec", ["weight", "row", "slice", "filter"])
def test_dense_kernels_are_masked_weight_by_weight(spec):
    assert granularity.block_shape(spec, (7, 3)) == (1, 1)


def test_blocks_of_a_dense_kernel():
    assert granularity.block_shape("block(2, 8)", (7, 3)) == (2, 8)


@pytest.mark.parametrize(
    "layer,shape,expected",
    [
        (layers.MaskedConv2D(5, 3), (None, 8, 8, 2), (3, 3, 2, 1)),
        (layers.MaskedDepthwiseConv2D(3), (None, 8, 8, 2), (3, 3, 1, 1)),
        (layers.MaskedConv2DTranspose(5, 3), (None, 8, 8, 2), (3, 3, 1, 2)),
        (layers.MaskedDense(5), (None, 8), (1, 1)),
    ],
)
def test_a_filter_is_what_makes_one_output_channel(layer, shape, expected):
    layer.granularity = "filter"
    layer.build(shape)
    assert layer.block("kernel") == expected


@pytest.mark.parametrize(
    "block", [(1, 1, 1, 1), (3, 2, 1, 1), (1, 1, 3, 2), (2, 2, 4, 4)]
)
def test_blocks_average_and_spread_like_a_loop(block):
    values = np.random.default_rng(0).normal(size=CONV)
    shape = granularity.grid_shape(CONV, block)
    sums, counts = np.zeros(shape), np.zeros(shape)
    spread = np.zeros(CONV)
    blocks = np.random.default_rng(1).normal(size=shape)
    for index in itertools.product(*map(range, CONV)):
        place = tuple(i // size for i, size in zip(index, block, strict=True))
        sums[place] += values[index]
        counts[place] += 1
        spread[index] = blocks[place]
    np.testing.assert_allclose(
        granularity.block_means(values, block), sums / counts
    )
    np.testing.assert_array_equal(
        granularity.spread(blocks, block, CONV), spread
    )


def test_a_published_slice_score_is_the_mean_magnitude():
    kernel = np.zeros((3, 3, 1, 2))
    kernel[..., 0] = 2.0
    kernel[0, 0, 0, 1] = 9.0
    kernel[1, 1] *= -1
    block = granularity.block_shape("slice", kernel.shape, spatial=2)
    scores = granularity.block_scores(kernel, block)
    np.testing.assert_allclose(scores.reshape(-1), [2.0, 1.0])
    np.testing.assert_array_equal(
        granularity.block_scores(kernel, (1, 1, 1, 1)), kernel
    )


def test_n_of_m_keeps_the_highest_of_each_group():
    scores = np.array([[4.0, 1.0], [3.0, 1.0], [9.0, 1.0], [5.0, 0.0]])
    np.testing.assert_array_equal(
        granularity.keep_n_of_m(scores, 2, 4, axis=-2),
        [[False, True], [False, True], [True, False], [True, False]],
    )
    np.testing.assert_array_equal(
        granularity.keep_n_of_m(scores, 1, 2, axis=-1),
        [[True, False]] * 4,
    )


def test_n_of_m_refuses_an_axis_that_does_not_divide():
    with pytest.raises(InputError, match="multiple of m=4"):
        granularity.keep_n_of_m(np.zeros((6, 2)), 2, 4)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_n_by_m_pattern_of_a_spec(axis):
    spec = f"n_by_m(n=1, m=4, axis={axis})"
    assert granularity.pattern(spec) == (1, 4, axis)
    assert granularity.pattern("n_by_m") == (2, 4, -2)
    assert granularity.pattern("slice") is None


@pytest.mark.parametrize(
    "spec",
    [
        "blocks",
        "block(rows=0)",
        "n_by_m(n=5, m=4)",
        "n_by_m(n=0)",
        "n_by_m(axis='x')",
        "slice(2)",
    ],
)
def test_bad_specs_are_refused(spec):
    with pytest.raises(InputError):
        granularity.block_shape(spec, (4, 4))
