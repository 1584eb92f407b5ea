"""What the events of a training have done, and what they have not."""

import math
import warnings
from collections.abc import Mapping
from collections.abc import MutableMapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from cb.callbacks.epoch_numbers import densities
from cb.callbacks.reallocation.current_fit import CurrentFit
from cb.callbacks.reallocation.graph_events import Moved
from cb.callbacks.reallocation.sparse_kernels import SparseKernels
from cb.distribute import collectives
from cb.errors import NotReached
from cb.layers.masked import MaskedKernel
from cb.run_log import REGISTRY
from cb.run_log import RunLog
from cb.schedules import PeriodicSchedule
from cb.sparsity import granularity
from cb.sparsity.reallocation.base import Algorithm
from cb.sparsity.reallocation.base import Masks
from cb.sparsity.reallocation.base import State

COUNTED = ("events", "dropped", "grown")
# The key of the counts in the state of a callback.
TOTALS = "totals"


class Change(NamedTuple):
    """The change of one kernel's mask in an event.

    Attributes:
        kernel: `MaskedKernel`.
        before: Boolean array, the mask before the event, of blocks where
            its granularity has them.
        after: Boolean array, the mask after it.
    """

    kernel: MaskedKernel
    before: np.ndarray
    after: np.ndarray

    @property
    def dropped(self) -> int:
        """The number of weights that the event made inactive."""
        return self._weights(self.before & ~self.after)

    @property
    def grown(self) -> int:
        """The number of weights that the event made active."""
        return self._weights(self.after & ~self.before)

    @property
    def density(self) -> float:
        """The fraction of weights that are active after the event."""
        return self._weights(self.after) / math.prod(self.kernel.mask.shape)

    def _weights(self, chosen: np.ndarray) -> int:
        shape = tuple(self.kernel.mask.shape)
        if chosen.shape != shape:
            # Blocks at the edge may be smaller.
            chosen = granularity.spread(chosen, self.kernel.block, shape)
        return int(np.count_nonzero(chosen))


class Outcome:
    """Counts events, and the connections that they have dropped and grown.

    Args:
        log_dir: Folder for TensorBoard, or `None`.

    Attributes:
        totals: Integer array: events, dropped, grown.
    """

    def __init__(self, log_dir: Any = None):
        self.totals: np.ndarray = np.zeros(len(COUNTED), np.int64)
        self._logged = self.totals
        self._log_dir = log_dir
        self._said = False
        self._log = RunLog([])

    def begin(self, model: keras.Model) -> None:
        """Begin a training, after one that may have been cut.

        Only the chief of several workers writes a log.
        """
        self._log.close()
        self._logged = self.totals
        chief = collectives.is_chief(model.distribute_strategy)
        if self._log_dir is not None and chief:
            sink = REGISTRY.build("tensorboard", folder=self._log_dir)
            self._log = RunLog([sink])

    def clear(self) -> None:
        """Forget an earlier training, that of another model."""
        self.restore(np.zeros(len(COUNTED), np.int64))
        self._said = False

    def restore(self, totals: np.ndarray) -> None:
        """Continue from the counts of an earlier part of the training."""
        self.totals = self._logged = totals

    def add(self, step: int, changes: Sequence[Change | Moved]) -> None:
        """Count an event and log it by kernel.

        Args:
            step: Integer, the step that made it due.
            changes: List of `Change`, or of `Moved`.
        """
        dropped = [change.dropped for change in changes]
        grown = [change.grown for change in changes]
        moved = [1, sum(dropped), sum(grown)]
        self.totals = self.totals + np.array(moved, np.int64)
        numbers = {}
        for change, less, more in zip(changes, dropped, grown, strict=True):
            name = change.kernel.name
            numbers[f"density/{name}"] = change.density
            numbers[f"dropped/{name}"] = float(less)
            numbers[f"grown/{name}"] = float(more)
        self._log.scalars(step, numbers)

    def end_epoch(self, model: keras.Model, logs: MutableMapping) -> None:
        """Add what happened in an epoch to its logs.

        Args:
            model: Keras model.
            logs: Dict of name to number, in which several callbacks add up.
        """
        for name, number in zip(
            COUNTED, self.totals - self._logged, strict=True
        ):
            key = f"reallocation/{name}"
            logs[key] = logs.get(key, 0.0) + float(number)
        logs["reallocation/density"] = float(densities(model)["density"])
        self._logged = self.totals

    def warn(self, *training) -> None:
        """Warn, once, of what has not happened.

        Args:
            *training: As in `shortfalls`.
        """
        texts = [] if self._said else shortfalls(*training)
        for text in texts:
            warnings.warn(text, NotReached, stacklevel=3)
        self._said |= bool(texts)

    def end(self) -> None:
        """Release the files of the log."""
        self._log.close()


def shortfalls(
    algorithm: Algorithm,
    period: PeriodicSchedule | None,
    steps: tuple[int, int],
    masks: Masks,
    state: State,
) -> list[str]:
    """Say what was asked for and did not happen in a training.

    Args:
        algorithm: `Algorithm`.
        period: `PeriodicSchedule` of its events, or `None`.
        steps: Tuple of the first and the last step of the training.
        masks: Dict of layer key to boolean array, at the end.
        state: Dict of name to array, at the end.

    Returns:
        List of sentences.
    """
    name = type(algorithm).__name__
    if period is not None and not masks:
        return [f"{name} moved nothing: all sparse kernels are frozen."]
    first, last = steps
    events = period.count(last) if period is not None else 0
    found = [algorithm.unreached(masks, state, events)]
    if period is not None and period.count(first) == events:
        every = period.every
        text = (
            f"No event of {name} was due in steps {first + 1} to {last}, those "
            f"of this training: events come every {every} steps, from step "
            f"{period.start} to step {period.end}."
        )
        span = min(period.end, last) - max(period.start, first)
        if span > 0:
            text += f" {_more_events(span)}"
        found.append(text)
    elif (
        period is not None
        and algorithm.gradual
        and events == period.count(period.end) == 1
    ):
        found.append(
            f"{name} acted once, at step {period.next(0)}, and not gradually: "
            f"events come every {period.every} steps, from step "
            f"{period.start} to step {period.end}. "
            f"{_more_events(period.end - period.start)}"
        )
    return [text for text in found if text]


def _more_events(span: int) -> str:
    number = "ten" if span >= 10 else str(span)
    return f"Use `every={max(span // 10, 1)}` for about {number} events."


def masks_to_come(
    callback: keras.callbacks.Callback,
    kernels: SparseKernels,
    fit: CurrentFit | None,
) -> Masks:
    """Return the masks after `EarlyStopping` has restored its best weights.

    Args:
        callback: `Reallocation` whose training ends.
        kernels: `SparseKernels`, its kernels.
        fit: `CurrentFit` whose callbacks after it have yet to end, or `None`.

    Returns:
        Dict of layer key to boolean array.
    """
    masks = kernels.masks
    callbacks = [*fit.callbacks] if fit is not None else []
    if callback not in callbacks:
        return masks
    found: Mapping[int, Any] = {}
    for one in callbacks[callbacks.index(callback) + 1 :]:
        if isinstance(one, keras.callbacks.EarlyStopping):
            if one.restore_best_weights and one.best_weights is not None:
                weights = zip(
                    callback.model.weights, one.best_weights, strict=True
                )
                found = {id(v): value for v, value in weights}
    return {
        kernel.key: granularity.first_of_blocks(
            found[id(kernel.mask)] != 0, kernel.block
        )
        if id(kernel.mask) in found
        else masks[kernel.key]
        for kernel in kernels.kernels
    }
