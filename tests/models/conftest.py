"""Models without memory: shapes are made, values are not."""

import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state

from cb import models


@pytest.fixture
def abstract_model():
    """Return a builder of models whose variables hold no values."""

    def build(spec, input_shape, num_classes):
        with keras.StatelessScope():
            model = models.build(spec, input_shape, num_classes)
            # What would be initialized at the end of the scope.
            global_state.set_global_attribute("uninitialized_variables", [])
        return model

    return build


@pytest.fixture
def count():
    """Return a counter of the weights in variables."""
    return lambda variables: sum(int(np.prod(v.shape)) for v in variables)
