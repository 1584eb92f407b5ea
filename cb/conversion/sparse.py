"""From a dense Keras model to a sparse one."""

from collections.abc import Callable

import keras

from cb.conversion import choice
from cb.conversion.choice import Patterns
from cb.conversion.classes import Replacement
from cb.conversion.classes import copy_with
from cb.conversion.dense import forget_functions
from cb.conversion.duplicates import copy_whole
from cb.conversion.initial_masks import Masks
from cb.conversion.plan import Plan
from cb.conversion.report import Report
from cb.errors import InputError
from cb.errors import argument_error
from cb.layers import regularizers
from cb.layers.copying import paired_layers
from cb.layers.masked import mask_in_place
from cb.layers.masked import masked_kernels
from cb.layers.masked_in_place import record_masks
from cb.layers.registration import masked_class
from cb.layers.traversal import graph_layers
from cb.layers.traversal import is_graph
from cb.layers.traversal import ordered_layers
from cb.sparsity.amount import Sparsity


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

    A subclassed model, and a functional one whose class has its own
    `get_config()` (as those of KerasHub), are made again by their class.
    Layers inside such a model, and inside layers of a kind
    that `cb` does not know, are masked where they are; patterns match their
    own names or those with the layers around them, as `block/dense`.

    Args:
        model: Keras model, built.
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
        rounding: `"total"`, exact to one connection in all, or to a block in
            each kernel, of which one stays; or `"down"`, `"nearest"`,
            `"up"`, each kernel's count by itself.
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
    copied = _copied_whole(model)
    if copied is not None:
        if regularization:
            raise argument_error(
                "regularization",
                "None for a model whose layers are masked where they are; "
                "give the layers regularizers",
                regularization,
            )
        options = (include, exclude, granularity, first_dense, last_dense)
        first = (masks, sparsity, distribution, rounding, seed)
        layers = _reachable(copied, lambda layer: layer.layers)
        plan = _masked_in_place(copied, layers, options, first)
        plan.assign(copied, (), rescale_weights)
        if report is not None:
            report(plan.report())
        return copied
    layers = graph_layers(model)
    reasons = choice.reasons(
        model, layers, include, exclude, first_dense, last_dense
    )
    plan = Plan(model, layers, reasons, granularity)
    plan.choose(masks, sparsity, distribution, rounding, seed)
    regularizer = regularization and regularizers.get(regularization)
    config = regularizer and keras.regularizers.serialize(regularizer)

    def replace(layer, kind):
        masked = masked_class(kind)
        # A layer beside the graph, which only a training step may use.
        beside = id(layer) not in plan.reasons
        if masked is None or beside or plan.reasons[id(layer)]:
            return None
        arguments = {"granularity": granularity}
        return Replacement(masked, arguments, regularizer=config)

    sparse = copy_with(model, replace)
    if regularizer is not None:
        _check_regularizers(sparse)
    plan.assign(sparse, paired_layers(model, sparse), rescale_weights)
    if report is not None:
        report(plan.report())
    return sparse


def _check_regularizers(sparse: keras.Model) -> None:
    """Refuse kernels whose class takes no regularizer."""
    without = [
        kernel.name
        for kernel in masked_kernels(sparse)
        if kernel.trained.regularizer is None
    ]
    if without:
        raise InputError(
            "Argument `regularization` must be None for layers whose class "
            "takes no regularizer; an algorithm of `cb.callbacks.Reallocation` "
            f"may have penalties of its own. Received: kernels {without}"
        )


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

    For models that cannot be copied, which `sparsify` refuses. Compile the
    model again afterwards. `.keras` files keep the masks where Keras can
    load the dense model; where it cannot, call this on a new model with the
    same arguments, then `load_weights`.

    Args:
        model: Keras model, built.
        sparsity: As in `sparsify`.
        distribution: As in `sparsify`.
        include: As in `sparsify`.
        exclude: As in `sparsify`.
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
    options = (include, exclude, granularity)
    first = (masks, sparsity, distribution, rounding, seed)
    layers = _reachable(model, lambda layer: layer._layers)
    plan = _masked_in_place(model, layers, options, first)
    plan.assign(model, ())
    if report is not None:
        report(plan.report())
    return model


def _copied_whole(model) -> keras.Model | None:
    """Copy a model whose layers can only be masked where they are."""
    if is_graph(model) and not choice.concealing(model):
        return None
    return copy_whole(model, "cb.sparsify_layers(model, ...)")


def _masked_in_place(model, layers, options, first) -> Plan:
    """Put full masks into layers of a model, as a plan says."""
    include, exclude, granularity, *ends = options
    reasons = choice.reasons(model, layers, include, exclude, *ends)
    plan = Plan(model, layers, reasons, granularity)
    plan.choose(*first)
    for layer in layers:
        if not plan.reasons[id(layer)]:
            mask_in_place(layer, masked_class(type(layer)), granularity)
    for layer in choice.concealing(model):
        record_masks(layer)
    forget_functions(model)
    return plan


def _reachable(model, of_graph) -> list[keras.layers.Layer]:
    """List the layers that can be masked in place, outer ones only.

    Args:
        model: Keras model.
        of_graph: Function from a Sequential or functional model to its layers:
            those of the graph, or all that it holds.

    Returns:
        List of layers.
    """
    found: dict[int, keras.layers.Layer] = {}

    def visit(layer):
        if masked_class(type(layer)) and layer.built:
            found[id(layer)] = layer
        else:
            inside = of_graph(layer) if is_graph(layer) else layer._layers
            for inner in inside:
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
    for layer in ordered_layers(model):
        mode = getattr(layer, "quantization_mode", None)
        if mode is not None:
            raise InputError(
                f"Layer {layer.name!r} of model {model.name!r} is quantized. "
                "Expected weights that can be trained: make the model sparse, "
                "train it, and quantize what `cb.strip` returns. Received: "
                f"quantization mode {mode!r}"
            )
        if getattr(layer, "lora_enabled", False):
            raise InputError(
                f"Layer {layer.name!r} of model {model.name!r} has LoRA "
                "weights, whose product fills the zeros of a kernel. Expected "
                "a model without: `save_weights` merges them, so load the file "
                "into a new model. Received: LoRA of rank "
                f"{layer.lora_rank}"
            )
