"""Columns are stored in 16 bits as long as they fit, and in more beyond."""

import numpy as np
import pytest
import scipy.sparse

from cb.export.chains import Layer
from cb.export.chains import compiled_chain
from cb.export.stored_matrix import StoredMatrix
from cb.export.stored_matrix import read_matrix

SMALL = 2**16


def matrix(columns):
    """Return a matrix with an entry in its first and last column."""
    random = np.random.default_rng(0)
    places = np.append(random.integers(columns, size=50), [0, columns - 1])
    rows = np.arange(places.size) % 5
    values = random.normal(size=places.size).astype("float32")
    return scipy.sparse.csr_array((values, (rows, places)), (5, columns))


@pytest.mark.parametrize(
    "columns, bits", [(SMALL - 1, 16), (SMALL, 16), (SMALL + 1, 32)]
)
def test_every_column_is_found(columns, bits):
    wide = matrix(columns)
    stored = StoredMatrix(wide)
    assert stored.indices.dtype.size == bits // 8
    np.testing.assert_array_equal(read_matrix(stored).toarray(), wide.toarray())
    chain = compiled_chain([Layer(wide, np.zeros(5, "float32"), "linear")])
    x = np.random.default_rng(1).normal(size=(3, columns)).astype("float32")
    for examples in (1, 3):
        expected = (wide @ x[:examples].T).T
        np.testing.assert_allclose(chain(x[:examples]), expected, atol=1e-5)
