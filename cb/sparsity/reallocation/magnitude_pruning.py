"""Gradual magnitude pruning."""

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar
from typing import Literal
from typing import Protocol
from typing import runtime_checkable

import numpy as np

from cb.errors import InputError
from cb.errors import argument_error
from cb.registry import Count
from cb.registry import Natural
from cb.registry import Rate
from cb.schedules import PeriodicSchedule
from cb.sparsity import masks
from cb.sparsity.reallocation import REGISTRY
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.drop_and_grow import Periodic

# The fraction of prunable connections that remain, by progress.
SCHEDULES = {
    "constant": lambda progress: 0.0,
    "linear": lambda progress: 1.0 - progress,
    "cubic": lambda progress: (1.0 - progress) ** 3,
}


# The first of several iterations, if it precedes the first step.
AT_ONCE = Event(0, 0, PeriodicSchedule(1, 0, 0))


@runtime_checkable
class PruningSchedule(Protocol):
    """A function from a step to `(due, sparsity)`, with its steps."""

    begin_step: int
    end_step: int
    frequency: int

    def __call__(self, step): ...


@REGISTRY.register("magnitude_pruning")
@dataclasses.dataclass(frozen=True, kw_only=True)
class MagnitudePruning(Periodic):
    """Starts dense and prunes the smallest weights, exact at the end.

    The final sparsity is reached at `end`, on the grid of events or off it.

    Args:
        sparsity: Float in [0, 1), the final sparsity of every layer. Defaults
            to that of the masks that training starts with, which
            `cb.sparsify` can give every kind or name of layers.
        initial_sparsity: Float in [0, 1), the sparsity at the start, at most
            the final one.
        schedule: `"cubic"`, `"exponential"`, `"linear"` or `"constant"`, or
            a function from a step to `(due, sparsity)` with attributes
            `begin_step`, `end_step` and `frequency`, such as a
            `PruningSchedule` of the TensorFlow toolkit.
        scope: `"layer"` prunes every layer to the same sparsity, `"global"`
            compares all weights, each divided by the norm of its layer.
        minimum: Integer, connections that a layer keeps under `"global"`.
        iterations: Integer, the number of times to prune, from `start` on,
            every `every`; `end` is then not used. With `start` 0, the first
            time is before the first step.
        post_epochs: Integer, epochs of training after the last iteration.
            It needs `start` and `every` in epochs, and with them decides
            the length of the training: `train.py` sets it, and any other
            `fit` must have that many epochs.
        published: Boolean, whether each iteration prunes one connection too
            many and training ends an epoch early, as in the experiments of
            the second reference.
        end: Time of the last event.
        **kwargs: As in `Periodic`.

    Reference:

    - [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878)
    - [Mostafa and Wang, 2019](https://arxiv.org/abs/1902.05967)
    """

    at_start: ClassVar[bool] = True
    keeps_count: ClassVar[bool] = False
    sees_blocks: ClassVar[bool] = True

    sparsity: Rate | None = None
    initial_sparsity: Rate = 0.0
    schedule: (
        Literal["cubic", "exponential", "linear", "constant"] | PruningSchedule
    ) = "cubic"
    scope: Literal["layer", "global"] = "layer"
    minimum: Count = 1
    iterations: Count | None = None
    post_epochs: Natural | None = None
    published: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.iterations is not None and isinstance(self.every, Mapping):
            raise argument_error(
                "every",
                "one time with `iterations`",
                self.every,
                iterations=self.iterations,
            )
        if self.post_epochs is None:
            return
        counted = all(
            time == 0 or str(time).endswith("ep")
            for time in (self.start, self.every)
        )
        if self.iterations is None or not counted:
            raise InputError(
                "Argument `post_epochs` needs `iterations`, and `start` and "
                "`every` in epochs such as '2ep'. Received: "
                f" post_epochs={self.post_epochs!r}, "
                f"iterations={self.iterations!r}, start={self.start!r}, "
                f"every={self.every!r}"
            )

    @property
    def gradual(self):  # type: ignore[override]
        # A schedule of the user's own comes with a frequency of its own.
        named = isinstance(self.schedule, str) and self.schedule != "constant"
        return named and self.iterations is None

    def period(self, training_length):
        if callable(self.schedule):
            begin, end = self.schedule.begin_step, self.schedule.end_step
            end = 2**62 if end < 0 else end
            every = self.schedule.frequency
            return PeriodicSchedule(every, begin, end, begin, includes_end=True)
        every = training_length.interval(self.every)
        start = training_length.steps(self.start, "start")
        if self.iterations is not None:
            if not self._begins_at_once:
                start = max(start, 1)
            elif self.iterations == 1:
                return None
            end = start + (self.iterations - 1) * every
            return PeriodicSchedule(every, start, end, start)
        end = training_length.steps(self.end, "end")
        total = training_length.total_steps
        if total is not None and end > total:
            raise InputError(
                "Argument `end` must not be after the training, or the final "
                "sparsity is never reached. Received: "
                f"end={self.end!r} for {total} steps"
            )
        if start > end:
            raise argument_error(
                "start", "at most `end`", self.start, end=self.end
            )
        return PeriodicSchedule(every, start, end, includes_end=True)

    def total_epochs(self) -> int | None:
        if self.iterations is None or self.post_epochs is None:
            return None
        start, every = (
            float(str(time).removesuffix("ep"))
            for time in (self.start, self.every)
        )
        total = start + (self.iterations - 1) * every + self.post_epochs
        return math.ceil(total) - self.published

    @property
    def _begins_at_once(self) -> bool:
        """Whether the first of several iterations precedes the first step."""
        at_zero = float(str(self.start).removesuffix("ep")) == 0.0
        return self.iterations is not None and at_zero

    def mean_density(self, density, training_length):
        period = self.period(training_length) or AT_ONCE.period
        total = training_length.total_steps
        current, since, area = 1.0 - self.initial_sparsity, 0, 0.0
        if self._begins_at_once and not callable(self.schedule):
            current = self._density_after(AT_ONCE, density)
        due = period.next(0)
        while due is not None and due < total:
            area += current * (due - since)
            event = Event(due, 0, period, training_length)
            current, since = self._density_after(event, density), due
            due = period.next(due)
        return (area + current * (total - since)) / total

    def _density_after(self, event, density: float) -> float:
        if callable(self.schedule):
            _, sparsity = self.schedule(event.step)
            return 1.0 - float(sparsity)
        initial = 1.0 - self.initial_sparsity
        return self._density(self._progress(event), initial, density)

    def init(self, layers):
        targets = {key: self._target(layer) for key, layer in layers.items()}
        for key, layer in layers.items():
            size, target = layer.mask.size, targets[key]
            if _count(size, self.initial_sparsity) < target:
                raise argument_error(
                    "initial_sparsity",
                    "at most the final sparsity, which is "
                    f"{1.0 - target / size:.4f} in layer {key}",
                    self.initial_sparsity,
                )
        return {f"target/{key}": np.int64(n) for key, n in targets.items()}

    def initial_masks(self, layers, state, *, seed):
        layers = {
            key: layer._replace(
                mask=masks.keep_top(
                    np.abs(layer.weights),
                    _count(layer.mask.size, self.initial_sparsity),
                )
            )
            for key, layer in layers.items()
        }
        if self._begins_at_once and not callable(self.schedule):
            return self.update(layers, state, event=AT_ONCE, seed=seed)
        return {key: layer.mask for key, layer in layers.items()}, state

    def unreached(self, masks, state, events):
        if not state:
            return ""
        sizes = {key: mask.size for key, mask in masks.items()}
        kept = {key: np.count_nonzero(mask) for key, mask in masks.items()}
        wanted = {key: int(state[f"target/{key}"]) for key in masks}
        if callable(self.schedule):
            if self.schedule.end_step < 0:
                return ""
            _, sparsity = self.schedule(self.schedule.end_step)
            wanted = {k: _count(n, float(sparsity)) for k, n in sizes.items()}
        if self.scope == "layer":
            missed = any(kept[key] > wanted[key] for key in masks)
        else:
            missed = sum(kept.values()) > sum(wanted.values())
        counted = self.iterations is not None and not callable(self.schedule)
        done = events + self._begins_at_once
        if not missed:
            if not counted or done >= self.iterations:
                return ""
            return (
                f"MagnitudePruning has pruned {done} of {self.iterations} "
                "times: training ended before its last event."
            )
        asked, reached = (
            1.0 - sum(found.values()) / sum(sizes.values())
            for found in (wanted, kept)
        )
        return (
            f"MagnitudePruning has not reached the sparsity of {asked:.4f} "
            f"that it was asked for, but {reached:.4f}: training ended before "
            "its last event."
        )

    def update(self, layers, state, *, event, seed):
        del seed
        counts = {
            key: self._remaining(layer, int(state[f"target/{key}"]), event)
            for key, layer in layers.items()
        }
        active = {key: masks.count(layer.mask) for key, layer in layers.items()}
        if self.scope == "layer":
            return {
                key: masks.keep_top(
                    np.abs(layer.weights),
                    min(counts[key], active[key]),
                    layer.mask,
                )
                for key, layer in layers.items()
            }, state
        scores = {
            key: np.abs(layer.weights)
            / (np.linalg.norm(layer.weights[layer.mask]) + 1e-8)
            for key, layer in layers.items()
        }
        where = {key: layer.mask for key, layer in layers.items()}
        total = min(sum(counts.values()), sum(active.values()))
        return masks.keep_top_across(scores, total, where, self.minimum), state

    def _target(self, layer) -> int:
        if self.sparsity is None:
            return masks.count(layer.mask)
        return _count(layer.mask.size, self.sparsity)

    def _remaining(self, layer, target: int, event) -> int:
        """Return how many connections an event leaves to a layer."""
        size = layer.mask.size
        if callable(self.schedule):
            _, sparsity = self.schedule(event.step)
            return _count(size, float(sparsity))
        if self.published and self.iterations is not None:
            return self._published(layer, target / size, event)
        initial = _count(size, self.initial_sparsity)
        density = self._density(self._progress(event), initial, target)
        return max(math.floor(density + 0.5 + 1e-9), 1)

    def _published(self, layer, density: float, event) -> int:
        if self.sparsity is not None:
            density = 1.0 - self.sparsity
        done = (event.step - event.period.start) // event.period.every
        before, after = (
            self._density(
                k / self.iterations, 1.0 - self.initial_sparsity, density
            )
            for k in (done, done + 1)
        )
        active = masks.count(layer.mask)
        return max(active - math.floor((1.0 - after / before) * active) - 1, 0)

    def _progress(self, event) -> float:
        start, end = event.period.start, event.period.end
        if self.iterations is not None:
            done = (event.step - start) // event.period.every + 1
            return done / self.iterations
        return (event.step - start) / (end - start) if end > start else 1.0

    def _density(self, progress: float, initial: float, target: float):
        if self.schedule == "exponential":
            return initial * (target / initial) ** progress
        factor = SCHEDULES[str(self.schedule)](progress)
        return target + (initial - target) * factor


def _count(size: int, sparsity: float) -> int:
    """Return the connections that a sparsity leaves, at least one."""
    return max(math.floor((1.0 - sparsity) * size + 0.5 + 1e-9), 1)
