"""Arrays lie where vectors do."""

import pytest

from cb.kernels import tiles


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 7, 16)])
def test_an_array_begins_with_a_line_of_the_cache(shape):
    made = [tiles.aligned(shape) for _ in range(10)]
    assert all(array.ctypes.data % 64 == 0 for array in made)
    assert {(array.shape, array.dtype.name) for array in made} == {
        (shape, "float32")
    }
