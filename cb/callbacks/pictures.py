"""Logs histograms of weights and images of mask changes every epoch."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cb.callbacks.figure import SIDE
from cb.callbacks.figure import Axis
from cb.callbacks.figure import framed
from cb.callbacks.reallocation.outcome import Change
from cb.callbacks.reallocation.probe import ProbeGradients
from cb.callbacks.slots import steps_done
from cb.distribute.variables import read
from cb.layers.masked import masked_kernels
from cb.run_log import RunLog

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
        self._event = 0
        self._probe: ProbeGradients | None = None

    def note(self, step: int, changes: list[Change]) -> None:
        """Keep the changes of the latest event for the next figure."""
        self._event, self._changes = step, changes

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
            f"changes/{change.kernel.name}": change_figure(change, self._event)
            for change in self._changes
        }
        self.log.images(step, images)
        self._changes = []


def change_figure(change: Change, step: int) -> np.ndarray:
    """Draw which connections of a kernel an event dropped and grew.

    Args:
        change: `Change`.
        step: Integer, the optimizer step of the event.

    Returns:
        uint8 array `(height, width, 3)`: a column for every output, a row
        for every input. A large mask is drawn in part, and the axes say so.
    """
    rows = (-1, change.before.shape[-1])
    before, after = change.before.reshape(rows), change.after.reshape(rows)
    inputs, outputs = before.shape
    before, after = before[:SIDE, :SIDE], after[:SIDE, :SIDE]
    image = np.empty((*before.shape, 3), np.uint8)
    image[...] = BACKGROUND
    image[before & after] = KEPT
    image[before & ~after] = DROPPED
    image[after & ~before] = GROWN
    height, width = before.shape
    return framed(
        image,
        f"{change.kernel.name}, event at step {step}",
        _axis("outputs", width, outputs),
        _axis("inputs", height, inputs),
        [
            (DROPPED, f"dropped {change.dropped:,}"),
            (GROWN, f"grown {change.grown:,}"),
            (KEPT, "kept"),
            (BACKGROUND, "inactive"),
        ],
    )


def _axis(name: str, shown: int, number: int) -> Axis:
    name += f", the first {shown} of {number:,}" if shown < number else ""
    return Axis(name, [(0, "0"), (shown - 1, str(shown - 1))])
