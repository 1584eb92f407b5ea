"""The small convolutional network."""

import pytest

from cb import models
from cb.errors import InputError


def test_counts():
    model = models.build("small_cnn", (28, 28, 1), 10)
    convolutions = 9 * 1 * 32 + 9 * 32 * 64
    norms = 4 * (32 + 64)
    dense = 7 * 7 * 64 * 128 + 128 + 128 * 10 + 10
    assert model.count_params() == convolutions + norms + dense


@pytest.mark.parametrize("shape", [(28, 28), (3, 8, 1)])
def test_images_that_are_too_small_are_refused(shape):
    with pytest.raises(InputError, match="needs images"):
        models.build("small_cnn", shape, 10)
