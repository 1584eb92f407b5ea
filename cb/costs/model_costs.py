"""Costs of a model: parameters, arithmetic of inference, storage."""

import collections
import dataclasses
import fnmatch
import math
import numbers
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import keras

from cb.conversion.csr import to_masked
from cb.costs import conventions
from cb.costs import weights
from cb.costs.conventions import Counted
from cb.costs.conventions import Work
from cb.costs.report import describe
from cb.costs.trace import Step
from cb.costs.trace import trace
from cb.costs.weights import Weights
from cb.errors import InputError
from cb.errors import argument_error
from cb.layers.copying import copy_model_state
from cb.layers.traversal import named_layers
from cb.text import Table
from cb.text import Tabular


@dataclasses.dataclass(frozen=True)
class LayerCosts:
    """Costs of a layer, summed over all its calls for one example.

    Attributes:
        name: String; of a layer in another layer, after that one's.
        kind: String, its class.
        weights: `Weights` of its own, without those of layers in it.
        macs: Integer, multiplications that are added up.
        dense_macs: Integer, the same if no weight were zero.
        flops: Integer, floating-point operations.
        dense_flops: Integer, the same if no weight were zero.
        unknown: Tuple of strings, operations that could not be counted.
    """

    name: str
    kind: str
    weights: Weights
    macs: int
    dense_macs: int
    flops: int
    dense_flops: int
    unknown: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Costs(Tabular):
    """Costs of a model for one example.

    Attributes:
        convention: String, how it was counted.
        layers: Tuple of `LayerCosts`, in order; layers that neither have
            weights nor compute anything are left out.
    """

    convention: str
    layers: tuple[LayerCosts, ...]

    @property
    def weights(self) -> Weights:
        """The weights of all layers."""
        return weights.add(layer.weights for layer in self.layers)

    @property
    def parameters(self) -> int:
        """All parameters except the zeros of kernels."""
        return self.weights.total_nonzero

    @property
    def macs(self) -> int:
        """Multiply-accumulates of inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def dense_macs(self) -> int:
        """The same as if no weight were zero."""
        return sum(layer.dense_macs for layer in self.layers)

    @property
    def flops(self) -> int:
        """Floating-point operations of inference."""
        return sum(layer.flops for layer in self.layers)

    @property
    def dense_flops(self) -> int:
        """The same as if no weight were zero."""
        return sum(layer.dense_flops for layer in self.layers)

    @property
    def unknown(self) -> dict[str, tuple[str, ...]]:
        """The operations that could not be counted, by layer."""
        return {
            layer.name: layer.unknown for layer in self.layers if layer.unknown
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the totals as values that JSON can hold."""
        return {
            "convention": self.convention,
            "parameters": self.parameters,
            **self.weights._asdict(),
            **{name: getattr(self, name) for name in Counted._fields},
            "unknown": {k: list(v) for k, v in self.unknown.items()},
        }

    def _table(self) -> Table:
        return describe(self)


def costs(
    model: keras.Model,
    convention: str = "standard",
    input_shape: Any = None,
    densities: Mapping[str, float] | None = None,
) -> Costs:
    """Count the costs of any Keras model from its masks and shapes.

    Nothing is run. Inactive weights of masked layers and zeros in other
    kernels do not count.

    Args:
        model: Built Keras model: functional, `Sequential` or subclassed,
            sparse or not.
        convention: `"standard"`, `"dnw"` or `"autosparse"`, see
            `cb.costs.conventions.count`.
        input_shape: Structure of tuples, shapes of the inputs of one
            example, for models that take any size.
        densities: Dict of a pattern of layer names to the density that
            matching kernels are to be counted with, the first that matches,
            whatever they hold. What is left of a number is rounded down.

    Returns:
        `Costs`.

    Raises:
        InputError: If an argument is wrong or a shape is not known.

    Example:

    >>> model = cb.models.build("lenet_300_100", (28, 28, 1), 10)
    >>> cb.costs.costs(model).macs
    266200
    """
    return Counter(model, input_shape).costs(convention, densities)


class Counter:
    """Counts the costs of a model repeatedly as its masks change.

    Args:
        model: Built Keras model, as in `costs`.
        input_shape: As in `costs`.
    """

    def __init__(self, model: keras.Model, input_shape: Any = None):
        if not isinstance(model, keras.Model):
            raise argument_error("model", "a Keras model", model)
        self._source = model
        # The graph does not show the products of CSR kernels.
        self._model = to_masked(model)
        traced = trace(self._model, input_shape)
        self._batch = traced.batch
        self._steps = _by_layer(traced.steps)
        self._calls = _by_layer(traced.calls)
        self._multiplied = {
            id(step.kernel) for step in traced.steps if step.kernel is not None
        }

    def costs(
        self,
        convention: str = "standard",
        densities: Mapping[str, float] | None = None,
    ) -> Costs:
        """Count with the current masks and weights, as in `cb.costs.costs`."""
        conventions.check(convention)
        if self._model is not self._source:
            # Masks and weights of CSR kernels may have changed.
            copy_model_state(self._source, self._model)
        counts = weights.active_counts(self._model)
        layers = named_layers(self._model)
        given = _given(densities or {}, [name for name, _ in layers])
        own = weights.shared_out(counts, [layer for _, layer in layers])
        rows = [
            self._layer(
                name, layer, counts, own[id(layer)], given.get(name), convention
            )
            for name, layer in layers
        ]
        costly = [
            row
            for row in rows
            if row.weights.dense_bytes or row.flops or row.macs or row.unknown
        ]
        return Costs(convention, tuple(costly))

    def _layer(
        self, name, layer, counts, own, density, convention
    ) -> LayerCosts:
        steps, calls = self._steps[id(layer)], self._calls[id(layer)]
        work = _work(layer, steps, calls, self._batch, counts, density)
        unknown = {step.kind for step in steps if step.arithmetic is None}
        return LayerCosts(
            name,
            type(layer).__name__,
            weights.layer_weights(layer, own, self._multiplied, density),
            *conventions.count(convention, work),
            unknown=tuple(sorted(unknown)),
        )


def _by_layer(found: Iterable) -> dict[int, list]:
    """Group steps or calls by the `id` of their layer."""
    groups: dict[int, list] = collections.defaultdict(list)
    for item in found:
        groups[id(item.layer)].append(item)
    return groups


def _given(densities, names) -> dict[str, float]:
    found: dict[str, float] = {}
    for pattern, density in densities.items():
        matching = fnmatch.filter(names, pattern)
        is_number = isinstance(density, numbers.Real)
        if not matching or not (is_number and 0.0 <= density <= 1.0):
            raise InputError(
                "Argument `densities` must map patterns of layer names to "
                f"numbers in [0, 1]. Received: {pattern!r}: {density!r}, and "
                f"the layers are {names}"
            )
        for name in matching:
            found.setdefault(name, density)
    return found


def _work(layer, steps, calls, batch, counts, density) -> Work:
    totals = dict.fromkeys(Work._fields[:4], 0)
    for step in steps:
        if step.arithmetic is None:
            continue
        macs = step.arithmetic.macs // batch
        totals["others"] += step.arithmetic.others // batch
        if step.weighted:
            totals["dense_kernel_macs"] += macs
            totals["kernel_macs"] += _active(step, macs, counts, density)
        else:
            totals["data_macs"] += macs
    averaged = 0
    if "AveragePooling" in type(layer).__name__:
        averaged = sum(math.prod(call.inputs[0].shape) for call in calls)
    return Work(**totals, averaged=averaged // batch, shortcut=_shortcut(layer))


def _active(step: Step, macs: int, counts, density) -> int:
    """Return the number of products with active weights of a step."""
    if density is not None:
        return int(density * macs)
    if step.kernel is None:
        return macs
    # Every weight is used at as many positions as any other.
    return macs // math.prod(step.kernel.shape) * counts[id(step.kernel)]


def _shortcut(layer) -> bool:
    size = getattr(layer, "kernel_size", ())
    strides = getattr(layer, "strides", ())
    return bool(size) and max(size) == 1 and max(strides) > 1
