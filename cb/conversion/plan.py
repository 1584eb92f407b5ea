"""The masks of a sparse model, decided before it is made."""

from collections.abc import Mapping
from typing import get_args

import keras
import numpy as np

from cb.conversion import choice
from cb.conversion import initial_masks
from cb.conversion.coverage import warn_of_dense
from cb.conversion.initial_masks import Masks
from cb.conversion.report import Report
from cb.conversion.report import Row
from cb.conversion.sharing import require_own_kernels
from cb.conversion.targets import Kernel
from cb.conversion.targets import target_counts
from cb.errors import InputError
from cb.errors import argument_error
from cb.layers.masked import masked_kernels
from cb.layers.traversal import named_layers
from cb.registry import unknown
from cb.sparsity.amount import parse_sparsity
from cb.sparsity.granularity import block_shape
from cb.sparsity.granularity import pattern


class Plan:
    """Decides the masks of a model before anything is changed."""

    def __init__(self, model, layers, reasons, granularity):
        # Checks the spec even if no kernel needs it.
        block_shape(granularity, (1, 1))
        self.reasons = reasons
        self._model = model
        self._pattern = pattern(granularity)
        self._layers = layers
        chosen = [layer for layer in layers if not reasons[id(layer)]]
        require_own_kernels(model, chosen)
        self._kernels, unfit = choice.kernels(model, chosen, granularity)
        self._positions = {
            id(layer): f"{position}"
            for position, (_, layer) in enumerate(named_layers(model))
        }
        self._unfit = unfit

    def choose(self, masks, sparsity, distribution, rounding, seed):
        """Decide the first mask of each kernel."""
        _check_masks(masks, sparsity)
        if not self._kernels:
            raise InputError(
                "Argument `granularity` fits no layer: "
                f"{sorted(set(self._unfit.values()))}"
            )
        if masks == "nonzero":
            self._masks = initial_masks.nonzero(
                self._kernels, self._values(), self._pattern
            )
        else:
            counts = self._count(sparsity, distribution, rounding)
            self._masks = self._draw(masks, counts, seed)
        self._counted: dict[str, list[Kernel]] = {}
        for kernel in self._kernels:
            if kernel.key in self._masks:
                position = kernel.key.split("/")[0]
                self._counted.setdefault(position, []).append(kernel)
        self._leave_uncounted()
        if choice.NOT_INCLUDED not in self.reasons.values():
            self._warn_of_dense()

    def _warn_of_dense(self):
        layers = [layer for _, layer in named_layers(self._model)]
        places = [key.split("/") for key in self._masks]
        masked = {id(getattr(layers[int(at)], name)) for at, name in places}
        others = {*self._unfit.values(), choice.ON_REQUEST}
        reasons = {
            id(inner): reason
            if reason in others or reason.startswith(choice.UNKNOWN)
            else ""
            for layer in self._layers
            for inner in layer._flatten_layers()
            for reason in [self.reasons[id(layer)]]
        }
        warn_of_dense(self._model, masked, reasons)

    def _count(self, sparsity, distribution, rounding) -> dict[str, int]:
        sparsity = parse_sparsity(sparsity)
        if self._pattern:
            _check_pattern(sparsity, self._pattern)
        return target_counts(self._kernels, sparsity, distribution, rounding)

    def _draw(self, masks, counts, seed) -> dict[str, np.ndarray]:
        chosen = [kernel for kernel in self._kernels if kernel.key in counts]
        values = self._values() if masks == "magnitude" else {}
        return {
            kernel.key: initial_masks.largest(
                kernel, values[kernel.key], counts[kernel.key], self._pattern
            )
            if values
            else initial_masks.drawn(
                kernel, counts[kernel.key], self._pattern, seed
            )
            for kernel in chosen
        }

    def _values(self) -> dict[str, np.ndarray]:
        """Return the weights of the kernels, by key."""
        layers = [layer for _, layer in named_layers(self._model)]
        found = {}
        for kernel in self._kernels:
            position, weight = kernel.key.split("/")
            value = getattr(layers[int(position)], weight)
            array = keras.ops.convert_to_numpy(value)
            # Of any type, bfloat16 too, without a loss.
            found[kernel.key] = array.astype(np.float64)
        return found

    def _leave_uncounted(self):
        for layer in self._layers:
            if self.reasons[id(layer)]:
                continue
            inner = layer._flatten_layers()
            if not any(self._kernels_of(one) for one in inner):
                unfit = [self._unfit.get(id(one), "") for one in inner]
                self.reasons[id(layer)] = max(unfit) or "no sparsity given"

    def _kernels_of(self, layer) -> list[Kernel]:
        return self._counted.get(self._positions[id(layer)], [])

    def assign(self, sparse, copies, rescale_weights=False):
        """Write the masks of the sparse model, given pairs of its layers."""
        places = dict(self._positions)
        for old, new in copies:
            places[id(new)] = self._positions[id(old)]
        self._made = {}
        for kernel in masked_kernels(sparse):
            key = f"{places[id(kernel.layer)]}/{kernel.weight_name}"
            if key not in self._masks:
                continue
            mask = self._masks[key]
            kernel.mask.assign(mask)
            active = int(np.count_nonzero(mask))
            self._made[key] = (active, kernel.key)
            if rescale_weights:
                density = active / mask.size
                kernel.weight.assign(kernel.weight * density**-0.5)

    def report(self) -> Report:
        """Return the table of masked kernels and dense layers."""
        rows = []
        for layer in self._layers:
            masked = [
                kernel
                for inner in layer._flatten_layers()
                if id(inner) in self._positions
                for kernel in self._kernels_of(inner)
            ]
            kind = type(layer).__name__
            for kernel in masked:
                size = int(np.prod(kernel.shape))
                active, key = self._made[kernel.key]
                rows.append(Row(kernel.name, kind, size, active, key=key))
            if not masked and layer.weights:
                size = layer.count_params()
                reason = self.reasons[id(layer)]
                rows.append(Row(layer.name, kind, size, size, reason))
        return Report(rows)


def _check_masks(masks, sparsity):
    if masks not in get_args(Masks):
        raise unknown("kind of `masks`", masks, get_args(Masks))
    if (sparsity is None) != (masks == "nonzero"):
        expected = (
            "None with `masks='nonzero'`, where zeros decide"
            if masks == "nonzero"
            else "a number in [0, 1), or one for each pattern"
        )
        raise argument_error("sparsity", expected, sparsity)


def _check_pattern(sparsity, pattern):
    n, m, _ = pattern
    if isinstance(sparsity, Mapping) or abs(sparsity - (1 - n / m)) > 1e-9:
        raise InputError(
            f"Argument `sparsity` must be {1 - n / m}, as granularity "
            f"`n_by_m(n={n}, m={m})` says. Received: sparsity={sparsity!r}"
        )
