"""Operations on planes equal NumPy's."""

import numpy as np
import pytest

from cb.kernels.planes import transpose


@pytest.mark.parametrize("rows, columns", [(16, 16), (37, 50), (5, 70), (3, 2)])
def test_any_part_of_a_matrix_is_transposed(rows, columns):
    random = np.random.default_rng(0)
    source = random.normal(size=(50, 90)).astype("float32")
    target = np.full((80, 60), -1, "float32")
    given = source.reshape(-1), 2 * 90 + 3, 90
    transpose(*given, target.reshape(-1), 60 + 7, 60, rows, columns)
    expected = np.full((80, 60), -1, "float32")
    part = source[2 : 2 + rows, 3 : 3 + columns]
    expected[1 : 1 + columns, 7 : 7 + rows] = part.T
    np.testing.assert_array_equal(target, expected)
