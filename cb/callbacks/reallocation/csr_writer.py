"""Writes connections, weights and optimizer slots on CSR kernels."""

from collections.abc import Sequence

import numpy as np

from cb.callbacks.reallocation.kernel_writer import KernelWriter
from cb.callbacks.slots import Slot
from cb.distribute.variables import read
from cb.distribute.variables import write_replicas
from cb.errors import InputError
from cb.layers.masked import MaskedKernel
from cb.layers.sparse_kernel import SparseKernel
from cb.layers.sparse_kernel import csr
from cb.sparsity.reallocation.base import Algorithm


class CsrWriter(KernelWriter):
    """Writes to layers that store their active weights only.

    Args:
        kernels: As in `KernelWriter`.
        slots: As in `KernelWriter`.
        algorithm: `Algorithm`, refused if it needs inactive weights.

    Raises:
        InputError: As in `check_algorithm`.
    """

    kind = SparseKernel

    def __init__(self, kernels, slots, algorithm: Algorithm):
        super().__init__(kernels, slots)
        check_algorithm(algorithm)

    def open(self):
        """Read as the kernels that layers were made from."""
        for kernel in self.kernels:
            kernel.layer.open()

    def write_all(self, masks, fresh):
        """Take the connections of opened layers."""
        for kernel, owned, mask in zip(
            self.kernels, self._slots, masks, strict=True
        ):
            layer = kernel.layer
            if layer.whole is not None:
                move_connections(layer, owned, mask, layer.whole)
            layer.close()

    def settle(self, before, after, written):
        """Move the slots that others have left where they were."""
        for kernel, owned, old, new in zip(
            self.kernels, self._slots, before, after, strict=True
        ):
            left = [slot for slot in owned if slot.variable not in written]
            if not np.array_equal(old, new):
                places = [
                    np.flatnonzero(kernel.layer.by_output(mask))
                    for mask in (old, new)
                ]
                _move_slots(left, *places, read(kernel.layer.values))

    def write_changes(self, before, after, values=None):
        """Move connections."""
        del before
        given = values or [None] * len(after)
        columns = zip(self.kernels, self._slots, after, given, strict=True)
        for kernel, owned, mask, value in columns:
            move_connections(kernel.layer, owned, mask, value)


def move_connections(
    layer: SparseKernel,
    slots: Sequence[Slot],
    mask: np.ndarray,
    values: np.ndarray | None = None,
) -> None:
    """Move the connections of a layer, and its optimizer slots with them.

    Args:
        layer: `SparseKernel`.
        slots: The optimizer's slots of its values.
        mask: Boolean array, the new mask, with as many connections.
        values: Float array of the shape of the kernel, the new weights of
            active positions. By default kept connections keep theirs and
            grown ones start at zero.
    """
    mask = layer.by_output(mask)
    matrix = csr(mask.T)
    before = _positions(layer, *map(read, layer.structure))
    after = _positions(layer, matrix.indices, matrix.indptr)
    weights = _moved(layer.values, before, after, 0.0)
    if values is not None:
        weights = layer.by_output(values)[mask].astype("float32")
    _move_slots(slots, before, after, weights)
    write_replicas(layer.values, [weights])
    write_replicas(layer.indices, [matrix.indices])
    write_replicas(layer.indptr, [matrix.indptr])


def _move_slots(slots: Sequence[Slot], before, after, weights) -> None:
    for slot in slots:
        fresh = weights if slot.initial is None else slot.initial
        moved = _moved(slot.variable, before, after, fresh)
        write_replicas(slot.variable, [moved])


def _moved(variable, before, after, fresh) -> np.ndarray:
    """Return the values at positions after a move, `fresh` where one grew."""
    # Positions ascend.
    place = np.searchsorted(before, after)
    place[place == len(before)] = 0
    stays = before[place] == after
    return np.where(stays, read(variable)[place], fresh).astype("float32")


def check_algorithm(algorithm: Algorithm) -> None:
    """Refuse algorithms that need what CSR kernels do not store.

    Raises:
        InputError: If a layer's number of connections changes, or inactive
            weights have values, slots or gradients outside of events.
    """
    reason = _unable(algorithm)
    if reason:
        raise InputError(
            f"Algorithm {type(algorithm).__name__}, with these arguments, "
            f"{reason}, which layers with CSR kernels cannot do. Expected "
            "`static`, `set`, `rigl`, `deep_rewiring`, or `random`, `snip` or "
            "`grasp` with `scope='layer'`; or masked layers."
        )


def _unable(algorithm: Algorithm) -> str:
    of_inactive = algorithm.straight_through or not algorithm.zero_inactive
    fixed_counts = algorithm.keeps_layer_counts
    running = algorithm.gradients != "probe"
    copies = algorithm.copy_mask_from is not None
    reasons = {
        "trains inactive weights": of_inactive,
        "changes how many connections a layer has": not fixed_counts,
        "takes gradients of inactive weights from training steps": running,
        "keeps the momentum of inactive weights": not algorithm.reset_momentum,
        "adds noise to gradients": algorithm.noise_on_gradients,
        "takes over the masks of another run": copies,
    }
    return next((reason for reason, found in reasons.items() if found), "")


def structures(
    kernels: Sequence[MaskedKernel],
) -> dict[str, list[np.ndarray]]:
    """Return the positions of CSR kernels, which are far smaller than masks."""
    return {
        kernel.key: [*map(read, kernel.layer.structure)]
        for kernel in kernels
        if kernel.layer.fixed_connections
    }


def _positions(layer, indices, indptr) -> np.ndarray:
    """Return flat positions of the connections, grouped by output."""
    inputs, outputs = layer.matrix_shape
    outputs = np.repeat(np.arange(outputs), np.diff(indptr))
    return outputs * inputs + indices
