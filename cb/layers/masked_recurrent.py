"""Recurrent layers and cells with masked kernels."""

import sys
from typing import Any

import keras

from cb.layers.attributes import overridden
from cb.layers.masked import Masked
from cb.layers.masked import MaskedInside
from cb.layers.registration import register_masked


class _MaskedCell(Masked):
    masked_weights = ("kernel", "recurrent_kernel")


@register_masked(keras.layers.SimpleRNNCell, family="recurrent")
class MaskedSimpleRNNCell(_MaskedCell, keras.layers.SimpleRNNCell):
    """`keras.layers.SimpleRNNCell` whose two kernels are masked.

    Takes the arguments of `keras.layers.SimpleRNNCell`. The masks are `mask`
    and `recurrent_mask`.
    """


@register_masked(keras.layers.LSTMCell, family="recurrent")
class MaskedLSTMCell(_MaskedCell, keras.layers.LSTMCell):
    """`keras.layers.LSTMCell` whose two kernels are masked.

    Takes the arguments of `keras.layers.LSTMCell`. The masks are `mask` and
    `recurrent_mask`.
    """


@register_masked(keras.layers.GRUCell, family="recurrent")
class MaskedGRUCell(_MaskedCell, keras.layers.GRUCell):
    """`keras.layers.GRUCell` whose two kernels are masked.

    Takes the arguments of `keras.layers.GRUCell`. The masks are `mask` and
    `recurrent_mask`.
    """


# The one cell of all three layers, which Keras does not export. Making a layer
# to see its cell would start TensorFlow's runtime, which no fork survives.
_CONV_LSTM: Any = sys.modules[keras.layers.ConvLSTM2D.__base__.__module__]
_CONV_LSTM_CELL: Any = _CONV_LSTM.ConvLSTMCell


@register_masked(_CONV_LSTM_CELL, family=("conv", "recurrent"))
class MaskedConvLSTMCell(_MaskedCell, _CONV_LSTM_CELL):
    """The cell of Keras's ConvLSTM layers, its two kernels masked.

    Takes the arguments of Keras's cell. The masks are `mask` and
    `recurrent_mask`.
    """

    # Of any rank; the last two axes are inputs and gates.
    spatial_axes = {"kernel": -2, "recurrent_kernel": -2}


class _MaskedRecurrent(MaskedInside):
    """Mixin: masks the cell, and computes its kernels once a call."""

    def build(self, sequences_shape, initial_state_shape=None):
        super().build(sequences_shape, initial_state_shape)
        self.add_masks()

    def layers_inside(self):
        return [self.cell, *getattr(self.cell, "cells", ())]

    def inner_loop(self, sequences, initial_state, mask, training=False):
        computed = [
            (cell, {name: getattr(cell, name) for name in cell.masked_weights})
            for cell in self.layers_inside()
            if isinstance(cell, Masked)
        ]
        with overridden("computed", computed):
            return super().inner_loop(
                sequences, initial_state, mask=mask, training=training
            )


@register_masked(keras.layers.RNN)
class MaskedRNN(_MaskedRecurrent, keras.layers.RNN):
    """`keras.layers.RNN` that masks the kernels of the Keras cells in it.

    Takes the arguments of `keras.layers.RNN`.
    """

    # Named, since Keras makes a config only of arguments with names.
    def __init__(self, cell, **kwargs):
        super().__init__(cell, **kwargs)


@register_masked(keras.layers.SimpleRNN)
class MaskedSimpleRNN(_MaskedRecurrent, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN` with masked kernels.

    Takes the arguments of `keras.layers.SimpleRNN`. Its `cell` is a
    `MaskedSimpleRNNCell`.
    """


@register_masked(keras.layers.LSTM)
class MaskedLSTM(_MaskedRecurrent, keras.layers.LSTM):
    """`keras.layers.LSTM` with masked kernels.

    Takes the arguments of `keras.layers.LSTM`. Its `cell` is a
    `MaskedLSTMCell`.
    """


@register_masked(keras.layers.GRU)
class MaskedGRU(_MaskedRecurrent, keras.layers.GRU):
    """`keras.layers.GRU` with masked kernels.

    Takes the arguments of `keras.layers.GRU`. Its `cell` is a
    `MaskedGRUCell`.
    """


@register_masked(keras.layers.ConvLSTM1D)
class MaskedConvLSTM1D(_MaskedRecurrent, keras.layers.ConvLSTM1D):
    """`keras.layers.ConvLSTM1D` with masked kernels.

    Takes the arguments of `keras.layers.ConvLSTM1D`. Its `cell` is a
    `MaskedConvLSTMCell`.
    """


@register_masked(keras.layers.ConvLSTM2D)
class MaskedConvLSTM2D(_MaskedRecurrent, keras.layers.ConvLSTM2D):
    """`keras.layers.ConvLSTM2D` with masked kernels.

    Takes the arguments of `keras.layers.ConvLSTM2D`. Its `cell` is a
    `MaskedConvLSTMCell`.
    """


@register_masked(keras.layers.ConvLSTM3D)
class MaskedConvLSTM3D(_MaskedRecurrent, keras.layers.ConvLSTM3D):
    """`keras.layers.ConvLSTM3D` with masked kernels.

    Takes the arguments of `keras.layers.ConvLSTM3D`. Its `cell` is a
    `MaskedConvLSTMCell`.
    """
