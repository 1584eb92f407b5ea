"""Logs histograms of weights and images of mask changes every epoch."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cb.callbacks.reallocation.outcome import Change
from cb.callbacks.reallocation.probe import ProbeGradients
from cb.callbacks.slots import steps_done
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.run_log import RunLog

# Of an image of changed connections, in pixels.
LARGEST_SIDE = 512
BACKGROUND, KEPT = (255, 255, 255), (200, 200, 200)
DROPPED, GROWN = (214, 39, 40), (44, 160, 44)


class Pictures(keras.callbacks.Callback):
    """Logs distributions of active weights and gradients, and mask changes.

    Args:
        log: `RunLog`.
        batches: Callable from an integer to a batch, for the gradients.
    """

    def __init__(self, log: RunLog, batches: Callable[[int], Any]):
        super().__init__()
        self.log = log
        self.batches = batches
        self._changes: list[Change] = []
        self._probe: ProbeGradients | None = None

    def note(self, changes: list[Change]) -> None:
        """Keep the changes of the latest event for the next image."""
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
        step = steps_done(self.model)
        shown: dict[str, np.ndarray] = {}
        for kernel, gradient in zip(kernels, gradients, strict=True):
            weights = read(kernel.trained)
            # The values of CSR kernels are all active.
            if weights.ndim > 1:
                active = read(kernel.mask) != 0
                weights, gradient = weights[active], gradient[active]
            shown[f"weights/{kernel.name}"] = weights
            shown[f"gradients/{kernel.name}"] = gradient
        self.log.histograms(step, shown)
        images = {
            f"changes/{kernel.name}": change_image(before, after)
            for kernel, before, after in self._changes
        }
        self.log.images(step, images)
        self._changes = []


def change_image(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Draw which connections an event dropped and grew.

    Args:
        before: Boolean array, the mask before.
        after: Boolean array of the same shape, the mask after.

    Returns:
        uint8 array `(height, width, 3)`: a column for every output, a row
        for every input; kept grey, dropped red, grown green. Masks larger
        than an image are cropped.
    """
    rows = (-1, before.shape[-1])
    before = before.reshape(rows)[:LARGEST_SIDE, :LARGEST_SIDE]
    after = after.reshape(rows)[:LARGEST_SIDE, :LARGEST_SIDE]
    image = np.empty((*before.shape, 3), np.uint8)
    image[...] = BACKGROUND
    image[before & after] = KEPT
    image[before & ~after] = DROPPED
    image[after & ~before] = GROWN
    return image
