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
        described = choice.kernels(model, chosen, granularity)
        self._kernels = [kernel for kernel, reason in described if not reason]
        # Those of the chosen layers, by the position of their own layer.
        self._inside: dict[str, list[Kernel]] = {}
        for kernel, _ in described:
            position = kernel.key.split("/")[0]
            self._inside.setdefault(position, []).append(kernel)
        # Why one of these stays dense.
        self._dense = {
            kernel.key: reason for kernel, reason in described if reason
        }
        self._positions = {
            id(layer): f"{position}"
            for position, (_, layer) in enumerate(named_layers(model))
        }

    def choose(self, masks, sparsity, distribution, rounding, seed):
        """Decide the first mask of each kernel."""
        _check_masks(masks, sparsity)
        if not self._kernels:
            raise InputError(
                "Argument `granularity` fits no layer: "
                f"{sorted(set(self._dense.values()))}"
            )
        if masks == "nonzero":
            self._masks = initial_masks.nonzero(
                self._kernels, self._values(), self._pattern
            )
        else:
            counts = self._count(sparsity, distribution, rounding)
            self._masks = self._draw(masks, counts, seed)
        unfit = set(self._dense.values())
        for kernel in self._kernels:
            if kernel.key not in self._masks:
                self._dense[kernel.key] = "no sparsity given"
        for layer in self._layers:
            keys = [kernel.key for kernel in self._kernels_of(layer)]
            if not self.reasons[id(layer)] and not self._masks.keys() & keys:
                reason = self._dense[keys[0]] if keys else "no kernel"
                self.reasons[id(layer)] = reason
        if choice.NOT_INCLUDED not in self.reasons.values():
            self._warn_of_dense(unfit)

    def _warn_of_dense(self, unfit):
        layers = [layer for _, layer in named_layers(self._model)]

        def variable(key):
            position, weight = key.split("/")
            return id(getattr(layers[int(position)], weight))

        masked = {variable(key) for key in self._masks}
        unasked = {*unfit, choice.ON_REQUEST}
        reasons = {
            id(inner): reason
            if reason in unasked or reason.startswith(choice.UNKNOWN)
            else ""
            for layer in self._layers
            for inner in layer._flatten_layers()
            for reason in [self.reasons[id(layer)]]
        }
        reasons |= {
            variable(key): reason
            for key, reason in self._dense.items()
            if reason in unfit
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

    def _kernels_of(self, layer) -> list[Kernel]:
        """Return the kernels of a chosen layer and of those inside it."""
        return [
            kernel
            for inner in layer._flatten_layers()
            if id(inner) in self._positions
            for kernel in self._inside.get(self._positions[id(inner)], ())
        ]

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
        """Return the table of masked kernels, and what stays dense."""
        rows = []
        for layer in self._layers:
            kind, reason = type(layer).__name__, self.reasons[id(layer)]
            for kernel in () if reason else self._kernels_of(layer):
                size = int(np.prod(kernel.shape))
                active, key = self._made.get(kernel.key, (size, ""))
                dense = self._dense.get(kernel.key, "")
                rows.append(Row(kernel.name, kind, size, active, dense, key))
            if reason and layer.weights:
                size = layer.count_params()
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
