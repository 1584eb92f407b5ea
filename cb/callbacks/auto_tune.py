"""Stops a training whose last block has conflicts."""

import math
from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from cb.bundles.shrink import counts
from cb.bundles.shrink import surviving
from cb.callbacks.bundle_monitor import BundleMonitor
from cb.errors import InputError
from cb.metrics.recorder import Recorder
from cb.registry import Count
from cb.registry import NotNegative
from cb.registry import check_arguments

Rule = Literal["truncate", "first_type", "all"]


class AutoTune(BundleMonitor):
    """Stops `fit` when the last block has conflicts, and chooses the blocks.

    In each of the first epochs the bundles of all blocks are measured, on
    the same examples each time. If the last block has conflicts, training
    stops; the same measurement decides which blocks stay. `cb.auto_tune` is
    the loop that trains again with these.

    Args:
        data: As in `BundleMonitor`.
        batch_size: Integer, examples of a training step.
        blocks: Integers, number of blocks of each type in the model.
        rule: `"truncate"`, `"first_type"` or `"all"`, see
            `cb.bundles.shrink.surviving`.
        checks: Integer, number of epochs to measure in.
        when: `"before"` or `"after"` the epoch.
        tolerance: Float in nats, the highest entropy of a block without
            conflicts. Defaults to the published `0`, where one pair of
            examples is enough: with more examples, a conflict is found
            sooner.
        layers: Layers that end the blocks, one per block, in order; in the
            form of `BundleMonitor`.
        gate: String, the layer whose conflicts stop the training; by default
            the last block.
        **kwargs: Other arguments of `BundleMonitor`, but for `every`.

    Attributes:
        outcome: `None` while the architecture has no conflict,
            `"conflict"`, or `"diverged"` if activations or weights are not
            finite.
        kept: After a conflict, list of the positions of blocks that stay.
        next_blocks: After a conflict, tuple of integers, the number of
            blocks of each type to continue with.

    Raises:
        InputError: If an argument is wrong, or the number of recorded layers
            is not that of the blocks.

    Example:

    >>> tuner = cb.callbacks.AutoTune((x_train, y_train), 64, blocks=(8,))
    >>> model.fit(x_train, y_train, batch_size=64, callbacks=[tuner])
    >>> tuner.next_blocks

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    """

    def __init__(
        self,
        data: tuple | tf.data.Dataset,
        batch_size: int,
        blocks: Sequence[int],
        rule: Rule = "truncate",
        checks: Count = 10,
        when: Literal["before", "after"] = "after",
        tolerance: NotNegative = 0.0,
        layers: str | Sequence[str] = "all",
        gate: str | None = None,
        **kwargs,
    ):
        # This class calls `check` itself.
        super().__init__(data, batch_size, layers=layers, every=None, **kwargs)
        check_arguments(
            AutoTune, rule=rule, checks=checks, when=when, tolerance=tolerance
        )
        self.blocks = tuple(blocks)
        self.rule = rule
        self.checks = checks
        self.when = when
        self.tolerance = tolerance
        self.gate = gate
        self.outcome: str | None = None
        self.kept: list[int] | None = None
        self.next_blocks: tuple[int, ...] | None = None
        self._restored = 0

    def set_state(self, state):
        """Continue from saved checks; the last one may end the next `fit`."""
        super().set_state(state)
        self._restored = len(self.steps)
        if self.measurements:
            self._judge()

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        names = self._recorder.names(self._x)
        if len(names) != sum(self.blocks):
            raise InputError(
                "Argument `layers` must name one layer for each of the "
                f"{sum(self.blocks)} blocks {self.blocks}. Received: "
                f"layers={self.layers!r}, which records {names}"
            )
        if self.gate is not None:
            self._recorder = Recorder(
                self.model, [*names, self.gate], self.amplitude, self.memory
            )
            recorded = self._recorder.names(self._x)
            if recorded[:-1] != names:
                raise InputError(
                    "Argument `gate` must name one layer after the last "
                    f"block. Received: gate={self.gate!r}, with which "
                    f"{recorded} are recorded"
                )
        self.outcome = self.kept = self.next_blocks = None

    def on_epoch_begin(self, epoch, logs=None):
        # A resumed epoch was measured before it began.
        if self.when == "before" and self._restored <= epoch < self.checks:
            self._gate()

    def on_epoch_end(self, epoch, logs=None):
        # An epoch that was stopped before it began has its outcome.
        due = self.when == "after" and epoch < self.checks
        if due and self.outcome is None:
            self._gate()
        super().on_epoch_end(epoch, logs)

    def _gate(self):
        self.check()
        self._judge()
        if self.outcome is not None:
            self.model.stop_training = True

    def _judge(self):
        entropies = [measured.entropy for measured in self.measurements[-1]]
        if not all(map(math.isfinite, entropies)):
            self.outcome = "diverged"
        elif entropies[-1] > self.tolerance:
            self.outcome = "conflict"
            blocks = entropies[: sum(self.blocks)]
            self.kept = surviving(
                self.blocks, blocks, self.rule, self.tolerance
            )
            self.next_blocks = counts(self.blocks, self.kept)
