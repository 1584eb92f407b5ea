"""Deep, narrow fully connected networks."""

import numpy as np
import pytest

import cb
from cb.errors import InputError

pytestmark = pytest.mark.slow


def test_it_has_the_layers_of_the_paper():
    model = cb.models.build("fnn(blocks=(3,), width=7)", (28, 28, 1), 10)
    parameters = 785 * 7 + 2 * 8 * 7 + 8 * 10
    assert model.count_params() == parameters
    assert [layer.name for layer in model.layers[2:5]] == [
        "block_1",
        "block_2",
        "block_3",
    ]
    assert model(np.zeros((2, 28, 28, 1))).shape == (2, 10)


def test_kernels_start_he_uniform_and_biases_at_zero():
    model = cb.models.build("fnn(blocks=2, width=100)", (50,), 10)
    kernel, bias = model.get_layer("block_2").get_weights()
    limit = np.sqrt(6 / 100)
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert not bias.any()


@pytest.mark.parametrize("arguments", ["blocks=0", "blocks=(2, 2)", "width=0"])
def test_bad_sizes_are_one_clear_line(arguments):
    with pytest.raises(InputError, match="must be an integer of at least 1"):
        cb.models.build(f"fnn({arguments})", (4,), 10)
