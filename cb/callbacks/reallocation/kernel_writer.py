"""The interface of writers to the kernels of one kind of layer."""

import abc
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cb.callbacks.reallocation.write_watch import WriteWatch
from cb.callbacks.slots import Slot
from cb.layers.masked import MaskedKernel


class KernelWriter(abc.ABC):
    """Brings kernels and their optimizer slots in line with masks.

    Args:
        kernels: List of the `MaskedKernel` of layers of this kind.
        slots: List of lists of `Slot`, those of each kernel.

    Attributes:
        kind: The class of the layers.
        kernels: List of `MaskedKernel`.
    """

    kind: ClassVar[type]

    def __init__(
        self, kernels: Sequence[MaskedKernel], slots: Sequence[Sequence[Slot]]
    ):
        self.kernels = kernels
        self._slots = slots

    @abc.abstractmethod
    def open(self) -> None:
        """Make all connections active, until masks are written."""

    @abc.abstractmethod
    def write_all(self, masks: Sequence[np.ndarray], fresh: bool) -> None:
        """Write whole masks, at the start of a training.

        Args:
            masks: Boolean arrays of the shapes of the kernels.
            fresh: Boolean, whether every active weight keeps its value, also
                where it was inactive.
        """

    @abc.abstractmethod
    def write_changes(
        self,
        before: Sequence[np.ndarray],
        after: Sequence[np.ndarray],
        values: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Write the difference between two sets of masks.

        Args:
            before: Boolean arrays of the shapes of the kernels.
            after: Boolean arrays, likewise.
            values: Float arrays, the new weights of active positions. By
                default kept connections keep theirs and grown ones start
                at zero.
        """

    @abc.abstractmethod
    def settle(
        self,
        before: Sequence[np.ndarray],
        after: Sequence[np.ndarray],
        written: WriteWatch,
    ) -> None:
        """Bring weights and slots in line with masks that others have written.

        Args:
            before: Boolean arrays of the shapes of the kernels, the masks
                that were there before.
            after: Boolean arrays, the masks that are there now.
            written: `WriteWatch`, which knows the slots that others have
                written too.
        """
