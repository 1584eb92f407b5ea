"""Histograms and pictures of weights for TensorBoard, once an epoch."""

import keras
import numpy as np
import tensorflow as tf

from cb.callbacks.reallocation.callback import Change
from cb.callbacks.reallocation.probe import ProbeGradients
from cb.callbacks.run_logger import RunLogger
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels

# Of a picture of changed connections, in pixels.
LARGEST_SIDE = 512
BACKGROUND, KEPT = (255, 255, 255), (200, 200, 200)
DROPPED, GROWN = (214, 39, 40), (44, 160, 44)


class Pictures(keras.callbacks.Callback):
    """Shows the distributions of weights and gradients, and what moved.

    Args:
        logger: `RunLogger`, whose TensorBoard folder is written to.
        batches: Callable from an integer to a batch, for the gradients.
    """

    def __init__(self, logger: RunLogger, batches):
        super().__init__()
        self.logger = logger
        self.batches = batches
        self._changes: list[Change] = []
        self._probe: ProbeGradients | None = None

    def note(self, step: int, changes: list[Change]) -> None:
        """Keep the changes of the latest event for the next picture."""
        del step
        self._changes = changes

    def on_epoch_end(self, epoch, logs=None):
        kernels = masked_kernels(self.model)
        if not kernels:
            return
        if self._probe is None:
            self._probe = ProbeGradients(
                self.model, kernels, self.batches, whole=False
            )
        gradients = self._probe(epoch)
        step = int(read(self.model.optimizer.iterations))
        with self.logger.writer().as_default(step=step):
            for kernel, gradient in zip(kernels, gradients, strict=True):
                weights = read(kernel.trained)
                # Layers on CSR kernels hold nothing else.
                if weights.ndim > 1:
                    active = read(kernel.mask) != 0
                    weights, gradient = weights[active], gradient[active]
                tf.summary.histogram(f"weights/{kernel.name}", weights)
                tf.summary.histogram(f"gradients/{kernel.name}", gradient)
            for kernel, before, after in self._changes:
                picture = change_picture(before, after)
                tf.summary.image(f"changes/{kernel.name}", picture[None])
        self._changes = []


def change_picture(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Draw which connections an event dropped and grew.

    Args:
        before: Boolean array, the mask before.
        after: Boolean array of the same shape, the mask after.

    Returns:
        uint8 array `(height, width, 3)`: a column for every output, a row
        for every input; kept grey, dropped red, grown green. Masks larger
        than a picture are cropped.
    """
    rows = (-1, before.shape[-1])
    before = before.reshape(rows)[:LARGEST_SIDE, :LARGEST_SIDE]
    after = after.reshape(rows)[:LARGEST_SIDE, :LARGEST_SIDE]
    picture = np.empty((*before.shape, 3), np.uint8)
    picture[...] = BACKGROUND
    picture[before & after] = KEPT
    picture[before & ~after] = DROPPED
    picture[after & ~before] = GROWN
    return picture
