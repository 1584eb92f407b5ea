"""Layers that stand in a graph for what is no layer of its own."""

import inspect
import math

import keras
from keras.src.ops.numpy import BroadcastTo
from keras.src.ops.numpy import Reshape


@keras.saving.register_keras_serializable("cb")
class OwnVariable(keras.layers.Layer):
    """Returns a variable that belonged to a model or layer around.

    Args:
        shape: Tuple of integers.
        **kwargs: As in a Keras layer.
    """

    def __init__(self, shape, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self._convert_input_args = False
        self.shape = tuple(shape)
        self.kept = self.add_weight(shape=self.shape, name="kept")
        self.built = True

    @classmethod
    def of(cls, variable: keras.Variable) -> "OwnVariable":
        """Make a layer that returns the value of a variable."""
        layer = cls(
            variable.shape,
            name=variable.name,
            dtype=variable.dtype,
            trainable=variable.trainable,
        )
        layer.kept.assign(variable)
        return layer

    def call(self, inputs):
        return keras.ops.convert_to_tensor(self.kept)

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}


@keras.saving.register_keras_serializable("cb")
class WithMask(keras.layers.Layer):
    """Returns its input, with a mask of steps."""

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        return inputs


class SharedLayer(keras.layers.Layer):
    """Calls a layer of another model, which cannot be made again.

    Args:
        layer: Keras layer, built.
        **kwargs: As in a Keras layer.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.supports_masking = True
        self.layer = layer
        self.built = True
        # Keras refuses tensors beside other values in a `**kwargs`.
        self._call_signature = inspect.signature(layer.call)

    # The layer attaches masks by itself, or does not.
    def compute_mask(self, inputs, previous_mask):
        return None

    def call(self, *args, **kwargs):
        return self.layer(*args, **kwargs)

    def compute_output_spec(self, *args, **kwargs):
        return self.layer.compute_output_spec(*args, **kwargs)

    def get_config(self):
        return {"name": self.name, "layer": self.layer}


@keras.saving.register_keras_serializable("cb")
class Sized(keras.Operation):
    """Reshapes or broadcasts to sizes of which that of the batch varies.

    Args:
        shape: Tuple of integers and `None`: first for the batch, then, like
            -1, once for what remains in a reshape.
        broadcasts: Boolean, whether to broadcast.
        **kwargs: As in a Keras operation.
    """

    def __init__(self, shape, broadcasts=False, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)
        self.broadcasts = broadcasts

    def call(self, inputs, batch):
        """Return the inputs in the shape; `batch` is any tensor of it."""
        sizes = [*self.shape]
        if None in sizes:
            sizes[sizes.index(None)] = keras.ops.shape(batch)[0]
        sizes = [-1 if size is None else size for size in sizes]
        if self.broadcasts:
            return keras.ops.broadcast_to(inputs, sizes)
        return keras.ops.reshape(inputs, sizes)

    def compute_output_spec(self, inputs, batch):
        """Return the shape and type of the outputs."""
        kind = BroadcastTo if self.broadcasts else Reshape
        return kind(self.shape).compute_output_spec(inputs)


def inferred(shape, sizes) -> tuple[int | None, ...]:
    """Replace -1 in the sizes of a reshape, if those not known correspond."""
    before = [size for size in shape if size is not None]
    after = [size for size in sizes if size not in (None, -1)]
    same = len(shape) - len(before) == list(sizes).count(None)
    if not same or -1 not in sizes or not math.prod(after):
        return tuple(sizes)
    found = math.prod(before) // math.prod(after)
    return tuple(found if size == -1 else size for size in sizes)
