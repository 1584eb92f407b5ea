"""Times, periodic schedules and decays, as frozen values."""

import dataclasses
import math
import numbers
from collections.abc import Callable
from collections.abc import Mapping
from typing import Annotated
from typing import Literal
from typing import NamedTuple
from typing import Protocol

from cb.errors import InputError
from cb.registry import Count
from cb.registry import Interval
from cb.registry import Natural
from cb.registry import check


class Epochs:
    """The range of text such as `"20ep"`, a number of epochs.

    Args:
        interval: String, as in `Interval`.

    Example:

    >>> "0.5ep" in Epochs("[0, inf)")
    True
    """

    def __init__(self, interval: str):
        self._interval = Interval(interval)

    def __contains__(self, text: str) -> bool:
        try:
            return text.endswith("ep") and float(text[:-2]) in self._interval
        except ValueError:
            return False

    def __str__(self) -> str:
        return "that counts epochs, such as '20ep'"

    def __repr__(self) -> str:
        return f"Epochs({self._interval.text!r})"


class NotEmpty:
    """The range of a mapping that has at least one entry."""

    def __contains__(self, values: Mapping) -> bool:
        return len(values) > 0

    def __str__(self) -> str:
        return "that is not empty"

    def __repr__(self) -> str:
        return "NotEmpty()"


# Optimizer steps, a fraction of the whole training, or epochs.
Time = (
    Natural
    | Annotated[float, Interval("[0, 1]")]
    | Annotated[str, Epochs("[0, inf)")]
)
# Time between events, or numbers of steps by first epoch.
Every = (
    Count
    | Annotated[float, Interval("(0, 1]")]
    | Annotated[str, Epochs("(0, inf)")]
    | Annotated[Mapping[Natural, Count], NotEmpty()]
)
Decay = Literal["cosine", "linear", "constant"]

DECAYS = {
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
    "linear": lambda progress: 1.0 - progress,
}


@dataclasses.dataclass(frozen=True)
class TrainingLength:
    """The length of a training, to which fractions and epochs refer.

    Args:
        total_steps: Integer, optimizer steps of the whole training, or
            `None` where it is not known.
        steps_per_epoch: Number of optimizer steps of an epoch, or `None`;
            with gradient accumulation it need not be whole.
    """

    total_steps: int | None = None
    steps_per_epoch: float | None = None

    def steps(self, time: Time, name: str) -> int:
        """Translate a time into optimizer steps.

        Args:
            time: An integer counts optimizer steps, a float in [0, 1] is a
                fraction of the whole training, `"20ep"` counts epochs.
            name: String, the argument that holds the time, for messages.

        Returns:
            Integer number of optimizer steps.

        Raises:
            InputError: If the time is malformed or refers to an unknown
                length.
        """
        check(name, time, Time)
        if isinstance(time, str):
            length = self._known(self.steps_per_epoch, name, time)
            return round(float(time[:-2]) * length)
        if isinstance(time, numbers.Integral):
            return int(time)
        return round(time * self._known(self.total_steps, name, time))

    def interval(self, every: Every, name: str = "every"):
        """Translate the time between events into optimizer steps.

        Args:
            every: Time, or dict of first epoch to a number of steps.
            name: String, the argument that holds it, for messages.

        Returns:
            Integer of at least 1, or a tuple of pairs `(first_step, every)`.

        Raises:
            InputError: If it is malformed or refers to an unknown length.
        """
        check(name, every, Every)
        if not isinstance(every, Mapping):
            return max(self.steps(every, name), 1)
        spans = sorted(
            (self.steps(f"{epoch}ep", name), steps)
            for epoch, steps in every.items()
        )
        return ((0, spans[0][1]), *spans[1:])

    def epoch(self, step: int) -> int:
        """Return the epoch, from zero, that a step from zero lies in.

        Raises:
            InputError: If the length of an epoch is not known.
        """
        return int(step // self._known(self.steps_per_epoch, "epoch", step))

    def _known(self, length: float | None, name: str, time: Time) -> float:
        if length is None:
            raise InputError(
                f"Argument `{name}` needs the length of the training, which "
                "`fit` does not know for this data. Pass `steps_per_epoch` "
                f"to `fit`, or count in steps. Received: {name}={time!r}"
            )
        return length


class PeriodicSchedule(NamedTuple):
    """Steps at regular intervals, from `start` to `end` inclusive.

    Attributes:
        every: Integer, or a tuple of pairs `(first_step, every)`, ascending,
            if the interval changes during training.
        start: Integer, the first step that may be due.
        end: Integer, the last one.
        offset: Integer, the step from which multiples are counted.
        includes_end: Boolean, whether `end` is due even off the grid.
    """

    every: int | tuple[tuple[int, int], ...]
    start: int
    end: int
    offset: int = 0
    includes_end: bool = False

    def due(self, previous: int, step: int) -> int | None:
        """Return the latest due step in `(previous, step]`, or `None`.

        A step is due when it has been crossed, not only when it is hit:
        several steps may pass between two calls.
        """
        if self.includes_end and previous < self.end <= step:
            return self.end
        for first, last, every in reversed(self._pieces()):
            latest = min(step, last) - (min(step, last) - self.offset) % every
            if latest > previous and latest >= first:
                return latest
        return None

    def next(self, step: int) -> int | None:
        """Return the first due step after `step`, or `None`."""
        for first, last, every in self._pieces():
            earliest = max(step + 1, first)
            following = earliest + (self.offset - earliest) % every
            if following <= last:
                return following
        return self.end if self.includes_end and step < self.end else None

    def count(self, until: int) -> int:
        """Count the due steps up to a step, that one included."""
        total = 0
        for first, last, every in self._pieces():
            last = min(last, until)
            if last >= first:
                below = (first - 1 - self.offset) // every
                total += (last - self.offset) // every - below
        grid = self._replace(includes_end=False)
        off_grid = grid.due(self.end - 1, self.end) is None
        if self.includes_end and off_grid and 0 < self.end <= until:
            total += 1
        return total

    def number(self, due: int) -> int:
        """Count the points of the grid before a due step.

        If the interval changes, the first one is used throughout.
        """
        every = self.every if isinstance(self.every, int) else self.every[0][1]
        # Step zero is a multiple, but never due.
        return -(-(due - self.offset) // every) - (self.offset < 1)

    def _pieces(self) -> list[tuple[int, int, int]]:
        """Return `(first, last, every)` of the spans of constant interval."""
        spans = self.every
        if isinstance(spans, int):
            spans = ((0, spans),)
        limits = [first - 1 for first, _ in spans[1:]] + [self.end]
        return [
            (max(first, self.start, 1), min(limit, self.end), every)
            for (first, every), limit in zip(spans, limits, strict=True)
        ]


class StepSchedule(Protocol):
    """Steps at which something is due, such as a `PeriodicSchedule`."""

    def next(self, step: int) -> int | None:
        """Return the first due step after `step`, or `None`."""

    def due(self, previous: int, step: int) -> int | None:
        """Return the latest due step in `(previous, step]`, or `None`."""


class StepTracker:
    """Follows a step counter and tells which due steps it has crossed.

    Reading the counter of an optimizer costs as much as a small layer, so it
    is read only after enough batches for a step to be due. A batch makes at
    most one step.

    Args:
        period: `StepSchedule`, or `None` if no step is ever due.
        read: Callable without arguments that returns the steps done so far.
        since: Integer, the step up to which due steps are known; defaults to
            the present one.

    Attributes:
        step: Integer, the counter when it was last read.
        next: Integer, the first due step after it, or `None`.
    """

    def __init__(
        self,
        period: StepSchedule | None,
        read: Callable[[], int],
        since: int | None = None,
    ):
        self.step: int
        self._period = period
        self._read = read
        self._start()
        if since is not None and period is not None:
            self._unread = self.step - since
            self.step, self.next = since, period.next(since)

    def follows(self) -> bool:
        """Tell whether the counter is where the noted batches can bring it."""
        return self.step <= self._read() <= self.step + self._unread

    def begin_batches(self, number: int = 1) -> None:
        """Note that `number` batches are about to be trained on."""
        self._unread += number

    def within(self, batches: int) -> bool:
        """Tell whether a step may be due after that many more batches."""
        if self.next is None:
            return False
        return self._unread + batches >= self.next - self.step

    def crossed(self) -> int | None:
        """Return the latest step that has become due, or `None`."""
        return self.catch_up() if self.within(0) else None

    def catch_up(self) -> int | None:
        """Return the latest step that has become due, always reading."""
        previous = self.step
        self._start()
        if self._period is None:
            return None
        return self._period.due(previous, self.step)

    def _start(self) -> None:
        self.step = self._read()
        period = self._period
        self.next = None if period is None else period.next(self.step)
        self._unread = 0


def piecewise(values: Mapping[int, float] | float, epoch: int) -> float:
    """Return the value of the largest epoch that is not after `epoch`.

    Args:
        values: Dict of first epoch to value, or one value for all.
        epoch: Integer, from zero.

    Returns:
        Float. Before the first epoch listed, its value.
    """
    if isinstance(values, int | float):
        return float(values)
    first = min(values)
    return float(values[max((e for e in values if e <= epoch), default=first)])


def decay(kind: Decay, step: int, start: int, end: int) -> float:
    """Return a factor that goes from 1 at `start` to its end value at `end`.

    Args:
        kind: One of `"constant"`, `"cosine"`, `"linear"`.
        step: Integer, the current step.
        start: Integer, where the factor is 1.
        end: Integer, where a decaying factor is 0.

    Returns:
        Float in [0, 1].
    """
    progress = (step - start) / (end - start) if end > start else 1.0
    return DECAYS[kind](min(max(progress, 0.0), 1.0))
