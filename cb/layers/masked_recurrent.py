"""Recurrent layers and cells with masked kernels."""

import contextlib

import keras

from cb.layers.masked import Masked
from cb.layers.masked import MaskedWeight
from cb.layers.masked import mask_in_place


class _MaskedCell(Masked):
    masked_weights = ("kernel", "recurrent_kernel")
    recurrent_kernel = MaskedWeight()


@keras.saving.register_keras_serializable("cb")
class MaskedSimpleRNNCell(_MaskedCell, keras.layers.SimpleRNNCell):
    """`keras.layers.SimpleRNNCell` whose two kernels are masked.

    Takes the arguments of `keras.layers.SimpleRNNCell`. The masks are `mask`
    and `recurrent_mask`.
    """


@keras.saving.register_keras_serializable("cb")
class MaskedLSTMCell(_MaskedCell, keras.layers.LSTMCell):
    """`keras.layers.LSTMCell` whose two kernels are masked.

    Takes the arguments of `keras.layers.LSTMCell`. The masks are `mask` and
    `recurrent_mask`.
    """


@keras.saving.register_keras_serializable("cb")
class MaskedGRUCell(_MaskedCell, keras.layers.GRUCell):
    """`keras.layers.GRUCell` whose two kernels are masked.

    Takes the arguments of `keras.layers.GRUCell`. The masks are `mask` and
    `recurrent_mask`.
    """


MASKED_CELLS = {
    keras.layers.SimpleRNNCell: MaskedSimpleRNNCell,
    keras.layers.LSTMCell: MaskedLSTMCell,
    keras.layers.GRUCell: MaskedGRUCell,
}


class _MaskedRecurrent:
    """Mixin: masks the cell, and computes its kernels once a call."""

    masked_weights = ()

    def __init__(self, *args, granularity="weight", **kwargs):
        super().__init__(*args, **kwargs)
        self.granularity = granularity

    def build(self, sequences_shape, initial_state_shape=None):
        super().build(sequences_shape, initial_state_shape)
        self.add_masks()

    def add_masks(self):
        """Mask the built cell, or the cells of a stack."""
        for cell in self._cells():
            if type(cell) in MASKED_CELLS:
                mask_in_place(cell, MASKED_CELLS[type(cell)], self.granularity)

    def _cells(self):
        return [self.cell, *getattr(self.cell, "cells", ())]

    def inner_loop(self, sequences, initial_state, mask, training=False):
        with _computed_once(self._cells()):
            return super().inner_loop(
                sequences, initial_state, mask=mask, training=training
            )

    def get_config(self):
        config = super().get_config()
        return {**config, "granularity": self.granularity}


@contextlib.contextmanager
def _computed_once(cells):
    cells = [cell for cell in cells if isinstance(cell, Masked)]
    for cell in cells:
        # Written past Keras, which would track the dict.
        cell.__dict__["computed"] = {
            name: getattr(cell, name) for name in cell.masked_weights
        }
    try:
        yield
    finally:
        for cell in cells:
            del cell.__dict__["computed"]


@keras.saving.register_keras_serializable("cb")
class MaskedRNN(_MaskedRecurrent, keras.layers.RNN):
    """`keras.layers.RNN` that masks the kernels of the Keras cells in it.

    Takes the arguments of `keras.layers.RNN`.
    """

    # Named, since Keras makes a config only of arguments with names.
    def __init__(self, cell, **kwargs):
        super().__init__(cell, **kwargs)


@keras.saving.register_keras_serializable("cb")
class MaskedSimpleRNN(_MaskedRecurrent, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN` with masked kernels.

    Takes the arguments of `keras.layers.SimpleRNN`. Its `cell` is a
    `MaskedSimpleRNNCell`.
    """


@keras.saving.register_keras_serializable("cb")
class MaskedLSTM(_MaskedRecurrent, keras.layers.LSTM):
    """`keras.layers.LSTM` with masked kernels.

    Takes the arguments of `keras.layers.LSTM`. Its `cell` is a
    `MaskedLSTMCell`.
    """


@keras.saving.register_keras_serializable("cb")
class MaskedGRU(_MaskedRecurrent, keras.layers.GRU):
    """`keras.layers.GRU` with masked kernels.

    Takes the arguments of `keras.layers.GRU`. Its `cell` is a
    `MaskedGRUCell`.
    """
