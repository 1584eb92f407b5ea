"""Seeing every call of the layers of a model."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

import keras


@contextlib.contextmanager
def intercepted(
    layers: Sequence[keras.layers.Layer], wrap: Callable
) -> Iterator[None]:
    """Put a function around `call` of some layers for a while.

    Unlike a second functional model this reaches into nested and subclassed
    models, and leaves nothing behind on the layers.

    Args:
        layers: Keras layers, each once.
        wrap: Function of a layer and its `call` to what is called instead.
    """
    own = [layer.__dict__.get("call") for layer in layers]
    # Written past Keras, which would track what is assigned.
    for layer in layers:
        layer.__dict__["call"] = wrap(layer, layer.call)
    try:
        yield
    finally:
        for layer, call in zip(layers, own, strict=True):
            if call is None:
                del layer.__dict__["call"]
            else:
                layer.__dict__["call"] = call
