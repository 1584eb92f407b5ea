"""The mixin that masks the weights of a Keras layer."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from typing import ClassVar
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from cb.errors import InputError
from cb.layers import masked_gradients
from cb.layers.attributes import AddedArguments
from cb.layers.attributes import overridden
from cb.layers.computed_kernels import ComputedKernel
from cb.layers.computed_kernels import ComputedKernels
from cb.layers.registration import masked_class
from cb.layers.regularizers import OfActive
from cb.layers.saved_state import SavedStates
from cb.layers.traversal import named_layers
from cb.layers.traversal import own_variables
from cb.sparsity.granularity import block_shape


def mask_name(weight: str) -> str:
    """Return the name of a weight's mask: `kernel` has `mask`."""
    if "kernel" not in weight:
        return f"{weight}_mask"
    return weight.replace("kernel", "mask")


class Granular(AddedArguments):
    """Mixin: records the groups of weights that are masked together."""

    added_arguments: ClassVar[tuple[str, ...]] = ("granularity",)

    def __init__(self, *args, granularity: str = "weight", **kwargs):
        super().__init__(*args, **kwargs)
        self.granularity = granularity


class Masked(Granular, ComputedKernels):
    """Mixin: multiplies kernels by masks in the forward pass.

    A mask is a non-trainable weight of the shape of its kernel, 1 where a
    connection is active and 0 elsewhere, initially 1 everywhere. The raw
    kernel is `raw_kernel`; `kernel` is the product of the two. A layer with
    several kernels lists them in `masked_weights`; the mask of
    `recurrent_kernel` is `recurrent_mask`, that of `weights` is
    `weights_mask`.

    Subclasses put this class first and inherit everything else from the
    Keras layer, `build` included, whose exact signature Keras records. See
    `cb.layers.register_masked`.

    Args:
        *args: As in the Keras layer.
        granularity: String, the group of weights that an entry of the mask
            stands for, a spec as in `cb.sparsify`. The layer only records it.
        **kwargs: As in the Keras layer.
    """

    masked_weights: Sequence[str] = ("kernel",)
    # How many leading axes of a kernel are spatial (below zero: all but so
    # many), and which axes number the output channels.
    spatial_axes: dict[str, int] = {}
    filter_axes: tuple[int, ...] = (-1,)
    # While true, gradients reach inactive weights too. Read when a function
    # is traced, so it is set around the tracing, not around the call.
    straight_through = False
    # Masks by weight of what gradients reach then; without one, they reach all.
    backward_masks: Mapping[str, keras.Variable] = {}
    # Masked weights that are zero wherever they are inactive, so that the
    # product would change nothing. Read in tracing, too.
    zeroed: Collection[str] = ()
    # Masked weights by name while they are computed once for a whole loop.
    computed: dict[str, Any] | None = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.kernel_names = cls.masked_weights
        for name in cls.masked_weights:
            if name not in vars(cls):
                setattr(cls, name, ComputedKernel(name))

    def build(self, input_shape):
        super().build(input_shape)
        self.add_masks()

    def add_masks(self):
        """Add a full mask for each masked weight of the built layer."""
        # The base layer may have locked its state already.
        self._tracker.unlock()
        for name in self.masked_weights:
            if self.has_kernel(name):
                raise InputError(
                    f"Layer {self.name!r} has an attribute `{mask_name(name)}` "
                    "of its own, where its mask would be. Expected another "
                    "name for it, or that `exclude` names the layer."
                )
            weight = self.raw(name)
            mask = self.add_weight(
                name=mask_name(name),
                shape=weight.shape,
                initializer="ones",
                trainable=False,
                dtype=self.variable_dtype,
            )
            setattr(self, mask_name(name), mask)
            if weight.regularizer is not None:
                weight.regularizer = OfActive(weight.regularizer, mask)
        self._tracker.lock()
        vars(self)["reallocation_state"] = SavedStates()

    def raw(self, name):
        return getattr(self, f"_{name}")

    def trained(self, name):
        return self.raw(name)

    def mask_of(self, name):
        return getattr(self, mask_name(name))

    def kernel_variables(self):
        names = self.masked_weights
        return [*map(self.raw, names), *map(self.mask_of, names)]

    def write_kernel(self, name, kernel, mask=None):
        self.raw(name).assign(getattr(kernel, "value", kernel))
        if mask is not None:
            self.mask_of(name).assign(mask.value)

    @property
    def raw_kernel(self):
        """The kernel variable, as it is under the mask."""
        return self.raw("kernel")

    def has_kernel(self, name):
        return mask_name(name) in vars(self)

    def effective(self, name):
        if self.computed is not None:
            return self.computed[name]
        return self.masked(name)

    def masked(self, name):
        """Return the product of a weight and its mask."""
        weight, mask = self.raw(name), self.mask_of(name)
        zeroed = name in self.zeroed
        if not (zeroed or self.straight_through):
            return ops.multiply(weight, mask)
        backward = mask
        if self.straight_through:
            backward = self.backward_masks.get(name)
        return masked_gradients.with_gradient(
            weight, None if zeroed else mask, backward
        )

    def block(self, name):
        return self.block_of(self.granularity, name, self.raw(name).shape)

    @classmethod
    def block_of(
        cls, granularity: str, name: str, shape: Sequence[int]
    ) -> tuple[int, ...]:
        """Return the shape of the blocks of a weight of a given shape."""
        spatial = cls.spatial_axes.get(name, 0)
        if spatial < 0:
            spatial += len(shape)
        found = block_shape(granularity, tuple(shape), spatial, cls.filter_axes)
        unknown = name not in cls.spatial_axes and len(shape) > 2
        if unknown and found != block_shape(granularity, tuple(shape), 1):
            raise InputError(
                f"Argument `granularity` depends on which axes of `{name}` are "
                f"spatial in {cls.dense_class.__name__}. Expected `@cb.layers."
                f"maskable({name!r}, spatial_axes={{{name!r}: number}})` with "
                "the number of leading ones, or that `exclude` names these "
                f"layers. Received: granularity={granularity!r} for {shape}"
            )
        return found

    # The versions of the Keras layers save the masked product, which loses
    # inactive weights. Here every variable is an entry, and a mask is packed
    # into one bit a weight.
    def save_own_variables(self, store):
        masks = {id(self.mask_of(name)) for name in self.masked_weights}
        for index, variable in enumerate(own_variables(self)):
            if id(variable) in masks:
                bits = ops.convert_to_numpy(variable) != 0
                store[f"{index}"] = np.packbits(bits)
            else:
                store[f"{index}"] = variable

    def load_own_variables(self, store):
        masks = {id(self.mask_of(name)) for name in self.masked_weights}
        values = {key: store[key] for key in store.keys()}
        for index, variable in enumerate(own_variables(self)):
            if f"{index}" in values and id(variable) in masks:
                values[f"{index}"] = _unpack(values[f"{index}"], variable.shape)
        keras.layers.Layer.load_own_variables(self, values)


def _unpack(bits, shape):
    bits = np.asarray(bits)
    return np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape)


class MaskedInside(Granular):
    """Mixin: masks layers that the Keras layer makes and builds by itself.

    Subclasses put this class first.

    Args:
        *args: As in the Keras layer.
        granularity: String, as in `Masked`.
        **kwargs: As in the Keras layer.
    """

    masked_weights: Sequence[str] = ()

    def add_masks(self):
        """Mask the layers inside the built layer."""
        for layer in self.layers_inside():
            if found := masked_class(type(layer)):
                mask_in_place(layer, found, self.granularity)

    def layers_inside(self):
        """List the layers to mask, among others."""
        return self._layers


def mask_in_place(layer, masked_class, granularity="weight"):
    """Turn a built Keras layer into its masked class, with full masks.

    For layers that another layer creates and builds, where a clone cannot
    replace them.

    Args:
        layer: Built Keras layer.
        masked_class: Class that derives from `type(layer)`.
        granularity: String, as in `Masked`.
    """
    for name in masked_class.masked_weights:
        if name in layer.__dict__:
            layer.__dict__[f"_{name}"] = layer.__dict__.pop(name)
    # Keras binds `quantize` of the old class to the instance.
    layer.__dict__.pop("quantize", None)
    layer.__class__ = masked_class
    layer.granularity = granularity
    layer.add_masks()


class MaskedKernel(NamedTuple):
    """A masked weight of a model, under its stable key.

    Attributes:
        key: String, position of the layer in the model and name of the
            weight. Keras names and paths are no keys: they differ when a
            model is built twice in a process, and nested models can share
            one.
        name: String for people, `layer`, `layer/weight` if the weight is not
            `kernel`, or `outer/inner` for a layer inside another.
        layer: The masked layer, or one on CSR kernels.
        weight: The raw variable. On CSR kernels, it and the mask are
            read-only.
        mask: The mask variable.
    """

    key: str
    name: str
    layer: keras.layers.Layer
    weight: keras.Variable
    mask: keras.Variable

    @property
    def block(self) -> tuple[int, ...]:
        """The shape of the blocks that the mask switches."""
        return self.layer.block(self.weight_name)

    @property
    def trained(self) -> keras.Variable:
        """The variable that the optimizer updates."""
        return self.layer.trained(self.weight_name)

    @property
    def weight_name(self) -> str:
        """The name of the weight in its layer, such as `kernel`."""
        return self.key.split("/")[1]


def masked_kernels(model: keras.Model) -> list[MaskedKernel]:
    """List the masked weights of a model in a stable order.

    Args:
        model: Keras model, built.

    Returns:
        List of `MaskedKernel`, in the order of the layers.
    """
    return [
        MaskedKernel(
            f"{position}/{weight}",
            name if weight == "kernel" else f"{name}/{weight}",
            layer,
            layer.raw(weight),
            layer.mask_of(weight),
        )
        for position, (name, layer) in enumerate(named_layers(model))
        if isinstance(layer, ComputedKernels) and layer.built
        for weight in layer.masked_weights
    ]


def straight_through(
    layers: Iterable[keras.layers.Layer],
) -> AbstractContextManager[None]:
    """Let gradients reach inactive weights in functions traced inside."""
    return overridden("straight_through", [(layer, True) for layer in layers])
