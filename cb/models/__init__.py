"""The models, one file per family, registered by name."""

from cb.registry import Registry

REGISTRY = Registry("model", __name__, given=("input_shape", "num_classes"))

names = REGISTRY.names


def build(spec, input_shape, num_classes):
    """Build a model of the zoo.

    Args:
        spec: Spec string such as `"mlp(units=(300, 100))"`.
        input_shape: Tuple, shape of one example.
        num_classes: Integer, number of outputs (logits).

    Returns:
        A built Keras model that maps `(batch, *input_shape)` to logits
        `(batch, num_classes)`.

    Raises:
        InputError: If the spec names no model or has a bad argument.
    """
    return REGISTRY.build(
        spec, input_shape=tuple(input_shape), num_classes=num_classes
    )
