"""Training that removes the blocks which stop it from learning."""

import math

from cb.bundles.shrink import RULES
from cb.bundles.shrink import counts
from cb.bundles.shrink import surviving
from cb.callbacks.bundle_monitor import BundleMonitor
from cb.errors import InputError
from cb.registry import unknown

WHEN = ("before", "after")


class AutoTune(BundleMonitor):
    """Stops `fit` when the last block has conflicts, and says what to keep.

    In each of the first epochs the bundles of all blocks are measured, on
    the same examples each time. If the last block has conflicts, training
    stops; the same measurement decides which blocks stay.
    `cb.auto_tune` is the loop that starts again with these.

    Args:
        data: As of `BundleMonitor`.
        batch_size: Integer, examples of a training step.
        blocks: Integers, number of blocks of each type in the model.
        rule: `"truncate"`, `"first_type"` or `"all"`, see
            `cb.bundles.shrink.surviving`.
        checks: Integer, in how many epochs to measure.
        when: `"before"` or `"after"` the epoch.
        tolerance: Float in nats, entropy up to which a block has no
            conflict. Defaults to the published `0`, by which one pair of
            examples is enough; the more examples are looked at, the sooner
            there is one.
        layers: Which layers end the blocks, one a block, in order; as of
            `BundleMonitor`.
        **kwargs: Other arguments of `BundleMonitor`, but for `every`.

    Attributes:
        outcome: `None` while there is nothing against the architecture,
            `"conflict"`, or `"diverged"` if activations or weights are not
            finite.
        kept: After a conflict, list of the positions of blocks that stay.
        next_blocks: After a conflict, tuple of integers, blocks to go on
            with.

    Raises:
        InputError: If an argument is wrong or there is not one recorded
            layer a block.

    Reference:

    - [Peer et al., 2021](https://arxiv.org/abs/2011.02956)
    """

    def __init__(
        self,
        data,
        batch_size,
        blocks,
        rule="truncate",
        checks=10,
        when="after",
        tolerance=0.0,
        layers="all",
        **kwargs,
    ):
        super().__init__(data, batch_size, layers=layers, every=1, **kwargs)
        if rule not in RULES:
            raise unknown("shrink rule", rule, RULES)
        if when not in WHEN:
            raise unknown("time of a check", when, WHEN)
        if not isinstance(checks, int) or checks < 1:
            raise InputError(
                "Argument `checks` must be a positive integer. "
                f"Received: checks={checks!r}"
            )
        if not tolerance >= 0:
            raise InputError(
                "Argument `tolerance` must not be negative. "
                f"Received: tolerance={tolerance!r}"
            )
        self.blocks = tuple(blocks)
        self.rule = rule
        self.checks = checks
        self.when = when
        self.tolerance = tolerance
        # Epochs are looked at here, and steps never.
        self._period = None
        self.outcome: str | None = None
        self.kept: list[int] | None = None
        self.next_blocks: tuple[int, ...] | None = None
        self._restored = 0

    def set_state(self, state):
        """Continue from saved checks, the last of which may end the fit."""
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
        self.outcome = self.kept = self.next_blocks = None

    def on_epoch_begin(self, epoch, logs=None):
        # An epoch gone on with was looked at before it began.
        if self.when == "before" and self._restored <= epoch < self.checks:
            self._gate()

    def on_epoch_end(self, epoch, logs=None):
        # An epoch that was stopped before it began has been judged already.
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
            self.kept = surviving(
                self.blocks, entropies, self.rule, self.tolerance
            )
            self.next_blocks = counts(self.blocks, self.kept)
