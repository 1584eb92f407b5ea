"""What the tests of models share."""

import numpy as np
import pytest


@pytest.fixture
def count():
    """Return a counter of the weights in variables."""
    return lambda variables: sum(int(np.prod(v.shape)) for v in variables)
