"""From a dense Keras model to a sparse one."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import get_args

import keras
import numpy as np

from cb.conversion import choice
from cb.conversion import initial_masks
from cb.conversion.choice import Patterns
from cb.conversion.classes import Replacement
from cb.conversion.classes import copy_with
from cb.conversion.initial_masks import Masks
from cb.conversion.report import Report
from cb.conversion.report import Row
from cb.conversion.sharing import require_own_kernels
from cb.conversion.targets import Kernel
from cb.conversion.targets import target_counts
from cb.errors import InputError
from cb.errors import argument_error
from cb.layers import regularizers
from cb.layers.copying import paired_layers
from cb.layers.masked import mask_in_place
from cb.layers.masked import masked_kernels
from cb.layers.registration import MASKED_CLASSES
from cb.layers.traversal import graph_layers
from cb.layers.traversal import named_layers
from cb.registry import unknown
from cb.sparsity.amount import Sparsity
from cb.sparsity.amount import parse_sparsity
from cb.sparsity.granularity import block_shape
from cb.sparsity.granularity import pattern


def sparsify(
    model: keras.Model,
    sparsity: Sparsity | None = None,
    distribution: str = "erk",
    include: Patterns = None,
    exclude: Patterns = None,
    granularity: str = "weight",
    seed: int = 0,
    *,
    masks: Masks = "random",
    first_dense: bool = False,
    last_dense: bool = False,
    rounding: str = "total",
    regularization: str | None = None,
    rescale_weights: bool = False,
    report: Callable[[Report], object] | None = None,
) -> keras.Model:
    """Make a sparse copy of a Keras model.

    The copy has masked layers in place of the layers with a kernel, the same
    weights (inactive ones keep theirs under the mask until training starts),
    names, inputs and outputs, and no optimizer.

    Args:
        model: Keras model, Sequential or functional, built.
        sparsity: Float in [0, 1), the inactive fraction of the masked
            kernels' weights; or one for each pattern, as a mapping or as
            `"conv=0.5,dense=0.98"`. A pattern is a family (`conv`, `dense`,
            `depthwise`, `attention`, `recurrent`), a class name, or a
            pattern of layer names. The first match counts; layers without
            a match stay dense. `None` with `masks="nonzero"` only.
        distribution: Spec of a distribution, e.g. `"erk"` or `"uniform"`,
            which shares out one sparsity among the layers.
        include: Patterns of layer names to mask, such as `"conv*"`. Defaults
            to every layer with a kernel, except for those in the model's
            attribute `always_dense`.
        exclude: Patterns of layer names to keep dense; `()` for none, not
            even those in `always_dense`.
        granularity: Spec of the smallest group of weights that is masked
            together: `"weight"`,
            `"row"`, `"slice"`, `"filter"`, `"block(rows=4, columns=4)"` or
            `"n_by_m(n=2, m=4, axis=-2)"`.
        seed: Integer, seed of random masks.
        masks: Where the first masks come from: `"random"`; `"magnitude"`,
            the weights (or blocks, by their mean) of the largest magnitude
            in each kernel; or `"nonzero"`, the weights that are not zero, of
            a model that was pruned or stripped before. Kernels without zeros
            are then named in a warning, and have full masks.
        first_dense: Boolean, whether the first layer stays dense.
        last_dense: Boolean, whether the last layer stays dense.
        rounding: `"total"`, exact to one connection in all; or `"down"`,
            `"nearest"`, `"up"`, each kernel's count by itself.
        regularization: Spec of a regularizer of active weights, e.g.
            `"l1(1e-5)"` or `"group_lasso(1e-5)"`. Defaults to those of the
            layers.
        rescale_weights: Boolean, whether to multiply kernels by
            `1 / sqrt(density)`, so that a fresh sparse layer's outputs have
            the variance of the dense one's.
        report: Callable that takes a `Report`, such as `print`.

    Returns:
        A Keras model.

    Raises:
        InputError: If an argument is wrong, or the model cannot be cloned,
            is sparse already or has no kernels; with `masks="nonzero"` if no
            kernel has zeros, one has nothing else, or the zeros do not fit
            the granularity.

    Example:

    >>> model = cb.sparsify(keras.applications.MobileNetV2(), sparsity=0.9)
    >>> pruned = cb.strip(model)
    >>> model = cb.sparsify(pruned, masks="nonzero")
    """
    _check_dense(model)
    layers = graph_layers(model) if hasattr(model, "layers") else []
    reasons = choice.reasons(
        model, layers, include, exclude, first_dense, last_dense
    )
    plan = _Plan(model, layers, reasons, granularity)
    plan.choose(masks, sparsity, distribution, rounding, seed)
    regularizer = regularization and regularizers.get(regularization)
    config = regularizer and keras.regularizers.serialize(regularizer)

    def replace(layer, kind):
        masked = MASKED_CLASSES.get(kind)
        # A layer beside the graph, which only a training step may use.
        beside = id(layer) not in plan.reasons
        if masked is None or beside or plan.reasons[id(layer)]:
            return None
        arguments = {"granularity": granularity}
        return Replacement(masked, arguments, regularizer=config)

    sparse = copy_with(model, replace)
    plan.assign(sparse, paired_layers(model, sparse), rescale_weights)
    if report is not None:
        report(plan.report())
    return sparse


def sparsify_layers(
    model: keras.Model,
    sparsity: Sparsity | None = None,
    distribution: str = "erk",
    include: Patterns = None,
    exclude: Patterns = None,
    granularity: str = "weight",
    seed: int = 0,
    *,
    masks: Masks = "random",
    rounding: str = "total",
    report: Callable[[Report], object] | None = None,
) -> keras.Model:
    """Make the layers of a model sparse, in place.

    For subclassed models and layers, which cannot be cloned. Compile the
    model again afterwards. A saved subclassed model loads with dense layers:
    call this on it with the same arguments, then `load_weights`.

    Args:
        model: Keras model, built.
        sparsity: As in `sparsify`.
        distribution: As in `sparsify`.
        include: As in `sparsify`; patterns of the layers' own names.
        exclude: As in `sparsify`; patterns of the layers' own names.
        granularity: As in `sparsify`.
        seed: As in `sparsify`.
        masks: As in `sparsify`.
        rounding: As in `sparsify`.
        report: As in `sparsify`.

    Returns:
        The same model.

    Raises:
        InputError: As `sparsify`.
    """
    _check_dense(model)
    layers = _reachable(model)
    reasons = choice.reasons(model, layers, include, exclude)
    plan = _Plan(model, layers, reasons, granularity)
    plan.choose(masks, sparsity, distribution, rounding, seed)
    for layer in layers:
        if not plan.reasons[id(layer)]:
            mask_in_place(layer, MASKED_CLASSES[type(layer)], granularity)
    # Functions that were traced with the dense layers.
    for function in ("train_function", "test_function", "predict_function"):
        setattr(model, function, None)
    plan.assign(model, ())
    if report is not None:
        report(plan.report())
    return model


def _reachable(model) -> list[keras.layers.Layer]:
    """List the layers that can be masked in place, outer ones only."""
    found: dict[int, keras.layers.Layer] = {}

    def visit(layer):
        if type(layer) in MASKED_CLASSES and layer.built:
            found[id(layer)] = layer
        else:
            for inner in layer._layers:
                visit(inner)

    visit(model)
    return list(found.values())


def _check_dense(model: keras.Model) -> None:
    if not isinstance(model, keras.Model):
        raise argument_error("model", "a Keras model", model)
    if not model.built:
        raise InputError(
            f"Model {model.name!r} must be built before it is sparsified. "
            "Call `model.build(input_shape)` first."
        )
    if masked_kernels(model):
        raise InputError(
            f"Model {model.name!r} is sparse already. Use `cb.strip(model)` "
            "first to start from its dense form."
        )


class _Plan:
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
