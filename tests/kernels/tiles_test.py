"""Tiles are as large as threads need them, and lie where vectors do."""

import numpy as np
import pytest

from cb.kernels import tiles
from cb.kernels.compiled import from_tile
from cb.kernels.compiled import to_tile


@pytest.mark.parametrize(
    ("examples", "workers", "expected"),
    [(1, 1, 16), (16, 1, 16), (17, 1, 32), (33, 2, 32), (999, 2, 64)],
)
def test_a_tile_is_the_least_that_gives_each_thread_one(
    examples, workers, expected, monkeypatch
):
    monkeypatch.setattr(tiles, "threads", lambda: workers)
    assert tiles.tile_size(examples) == expected


@pytest.mark.parametrize("tiles_there", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_threads_share_tiles_evenly(tiles_there, workers, monkeypatch):
    monkeypatch.setattr(tiles, "threads", lambda: workers)
    edges = tiles.shares(tiles_there)
    assert (edges[0], edges[-1]) == (0, tiles_there)
    sizes = np.diff(edges)
    assert len(sizes) == max(1, min(workers, tiles_there))
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 7, 16)])
def test_an_array_begins_with_a_line_of_the_cache(shape):
    made = [tiles.aligned(shape) for _ in range(10)]
    assert all(array.ctypes.data % 64 == 0 for array in made)
    assert {(array.shape, array.dtype.name) for array in made} == {
        (shape, "float32")
    }


@pytest.mark.parametrize("examples, features", [(1, 1), (16, 65), (3, 200)])
def test_what_goes_into_a_tile_and_back_is_as_before(examples, features):
    rows = np.random.default_rng(0).random((examples, features), "float32")
    columns = np.zeros((features + 3, 16), "float32")
    to_tile(rows, columns)
    np.testing.assert_array_equal(columns[:features, :examples], rows.T)
    assert np.count_nonzero(columns) == rows.size
    back = np.zeros((examples + 1, features), "float32")
    from_tile(columns, back[:examples])
    np.testing.assert_array_equal(back[:examples], rows)
    np.testing.assert_array_equal(back[examples:], 0)
