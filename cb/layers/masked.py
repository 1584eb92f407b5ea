"""The mixin that masks the weights of a Keras layer."""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

import keras
from keras import ops


class MaskedWeight:
    """Descriptor: stores the raw variable, reads as the masked weight.

    Keras layers disagree on how they hold their kernel: as `_kernel` behind
    a property, or as a plain attribute. A descriptor that stores every
    assignment as `_<name>` serves both.
    """

    def __set_name__(self, owner, name):
        self.raw = f"_{name}"

    def __get__(self, layer, owner=None):
        if layer is None:
            return self
        if not layer.built:
            raise AttributeError(
                f"You must build the layer before accessing `{self.raw[1:]}`."
            )
        return layer.masked(getattr(layer, self.raw), layer.mask)

    def __set__(self, layer, value):
        # `Layer.__setattr__` has tracked the variable already.
        layer.__dict__[self.raw] = value


class Masked:
    """Mixin: multiplies the kernel by a mask in the forward pass.

    The mask is a non-trainable weight of the shape of the kernel, 1 where a
    connection is active and 0 elsewhere, at first 1 everywhere. The raw
    kernel is `raw_kernel`; `kernel` is the product of the two.

    Subclasses put this class first and inherit everything else from the
    Keras layer, `build` included, whose exact signature Keras records.
    """

    name: str
    built: bool
    kernel = MaskedWeight()
    # While true, gradients reach inactive weights too. Read when a function
    # is traced, so it is set around the tracing, not around the call.
    straight_through = False
    # A mask variable of the weights that gradients reach then; all if `None`.
    backward_mask = None

    def build(self, input_shape):
        super().build(input_shape)
        # The base layer may have locked its state already.
        self._tracker.unlock()
        self.mask = self.add_weight(
            name="mask",
            shape=self.raw_kernel.shape,
            initializer="ones",
            trainable=False,
            dtype=self.variable_dtype,
        )
        self._tracker.lock()

    @property
    def raw_kernel(self):
        """The kernel variable, as it is under the mask."""
        return self._kernel

    def masked(self, weight, mask):
        """Multiply a weight by its mask, tensors of the same shape."""
        product = ops.multiply(weight, mask)
        if self.straight_through:
            weight = ops.convert_to_tensor(weight)
            if self.backward_mask is not None:
                weight = ops.multiply(weight, self.backward_mask)
            return weight + ops.stop_gradient(product - weight)
        return product

    # The versions of the Keras layers save the masked product, which loses
    # what inactive weights hold; this is the plain rule, one entry a variable.
    save_own_variables = keras.layers.Layer.save_own_variables
    load_own_variables = keras.layers.Layer.load_own_variables

    def enable_lora(self, *args, **kwargs):
        """Refuse: a low-rank update would fill inactive positions."""
        raise ValueError(
            f"Layer {self.name!r} is masked and cannot take LoRA weights. "
            "Use `cb.strip(model)` first."
        )

    def quantize(self, *args, **kwargs):
        """Refuse: quantized kernels have no raw variable to mask."""
        raise ValueError(
            f"Layer {self.name!r} is masked and cannot be quantized. "
            "Use `cb.strip(model)` first."
        )


class MaskedKernel(NamedTuple):
    """A masked weight of a model, under its stable key.

    Attributes:
        key: String, position of the layer in the model and weight's name.
            Keras names and paths are no keys: the same model built twice in
            a process has others, and two nested models can share one.
        name: String for people, the layer's name.
        layer: The masked layer.
        weight: The raw variable.
        mask: The mask variable.
    """

    key: str
    name: str
    layer: keras.layers.Layer
    weight: keras.Variable
    mask: keras.Variable


def masked_kernels(model: keras.Model) -> list[MaskedKernel]:
    """List the masked weights of a model in a stable order.

    Args:
        model: Keras model, built.

    Returns:
        List of `MaskedKernel`, in the order of the layers.
    """
    return [
        MaskedKernel(
            f"{position}/kernel",
            layer.name,
            layer,
            layer.raw_kernel,
            layer.mask,
        )
        for position, layer in enumerate(ordered_layers(model))
        if isinstance(layer, Masked) and layer.built
    ]


def ordered_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """List all layers of a model, nested ones too, each once, in order."""
    found: dict[int, keras.layers.Layer] = {}

    def visit(layer):
        if id(layer) not in found:
            found[id(layer)] = layer
            for inner in layer._layers:
                visit(inner)

    visit(model)
    return list(found.values())


@contextlib.contextmanager
def straight_through(
    layers: Sequence[keras.layers.Layer],
) -> Iterator[None]:
    """Let gradients reach inactive weights in functions traced meanwhile."""
    before = [layer.straight_through for layer in layers]
    for layer in layers:
        layer.straight_through = True
    try:
        yield
    finally:
        for layer, switch in zip(layers, before, strict=True):
            layer.straight_through = switch
