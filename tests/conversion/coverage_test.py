"""Kernels that no mask reaches are named at once."""

import warnings

import keras
import numpy as np
import pytest

import cb


class Own(keras.layers.Layer):
    """A layer of a kind that is not known."""

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 20))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.w)


def model_with(layer, units):
    inputs = keras.Input((8,))
    x = keras.layers.Dense(units, name="dense")(layer(inputs))
    return keras.Model(inputs, x, name="mine")


@pytest.mark.parametrize("convert", [cb.sparsify, cb.sparsify_layers])
def test_most_weights_out_of_reach(convert):
    # 8 x 20 weights of the own layer, 20 x 4 of the other one.
    with pytest.warns(UserWarning) as raised:
        convert(model_with(Own(name="own"), 4), 0.5)
    (found,) = raised
    assert "Masks reach 80 of 240 weights in kernels" in str(found.message)
    assert "Dense: 'own' (160:" in str(found.message)
    assert "register_masked" in str(found.message)


@pytest.mark.parametrize(
    "layer, units, options",
    [
        (Own(), 8, {}),
        (Own(), 4, {"include": "dense"}),
        (keras.layers.Dense(99, name="large"), 4, {"exclude": "large"}),
        (keras.layers.Dense(99, name="large"), 4, {"first_dense": True}),
        (keras.layers.Conv1D(2, 1, name="c"), 4, {"sparsity": "conv=0.5"}),
    ],
)
def test_nothing_is_said_of_a_half_or_of_what_was_asked_for(
    layer, units, options
):
    if isinstance(layer, keras.layers.Conv1D):
        layer = keras.Sequential(
            [keras.layers.Reshape((8, 1)), layer, keras.layers.Flatten()]
        )
    model = model_with(layer, units)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cb.sparsify(model, **{"sparsity": 0.5, **options})


def test_kernels_that_do_not_fit_beside_one_that_does_are_named():
    dense = keras.Sequential([keras.Input((5, 8)), keras.layers.LSTM(10)])
    message = "Masks reach 320 of 720 .*'lstm.*/lstm_cell' .400: .10, 40. has"
    with pytest.warns(UserWarning, match=message):
        cb.sparsify(dense, 0.5, granularity="n_by_m(n=2, m=4)")


def test_granularity_and_helpers_are_named():
    model = model_with(keras.layers.Dense(99, name="odd"), 4)
    model.helper = keras.layers.Dense(500, name="helper")
    model.helper.build((None, 8))
    with pytest.warns(UserWarning, match="'helper' .4,000.*'odd' .792"):
        cb.sparsify(model, 0.5, granularity="n_by_m(n=2, m=4, axis=-1)")
    assert np.count_nonzero(model(np.ones((1, 8)))) == 4
