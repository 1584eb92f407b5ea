"""Ghost batch normalization in place of a model's batch normalization."""

import keras

from cb.errors import InputError
from cb.layers.copying import clone_operation
from cb.layers.copying import copy_model
from cb.layers.ghost_batch_normalization import GhostBatchNormalization

REPLACED = (keras.layers.BatchNormalization, GhostBatchNormalization)


def replace_batch_normalization(
    model: keras.Model, virtual_batch_size: int = 128, **options
) -> keras.Model:
    """Make a copy of a model with batch normalization over ghosts.

    Names, variables, masks and other options of layers stay, and so do
    outputs in inference.

    Args:
        model: Keras model, Sequential or functional, built.
        virtual_batch_size: Integer, examples in a ghost.
        **options: Other arguments of `GhostBatchNormalization`, such as
            `remainder` or `momentum`.

    Returns:
        A Keras model without an optimizer.

    Raises:
        InputError: If an argument is wrong, or the model has no batch
            normalization, cannot be cloned or synchronizes replicas.

    Example:

    >>> model = cb.layers.replace_batch_normalization(model, 128)
    """
    # Wrong arguments are refused before any layer of the model is blamed.
    try:
        GhostBatchNormalization(virtual_batch_size, **options)
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from error
    replaced = []

    def replace(layer):
        if type(layer) not in REPLACED:
            return clone_operation(layer)
        replaced.append(layer.name)
        config = {**layer.get_config(), **options}
        config["virtual_batch_size"] = virtual_batch_size
        try:
            return GhostBatchNormalization(**config)
        except InputError as error:
            raise InputError(f"Layer {layer.name!r}: {error}") from error

    copy = copy_model(model, replace)
    if not replaced:
        raise InputError(
            f"Model {model.name!r} has no `BatchNormalization` layer to "
            "replace."
        )
    left = [
        layer.name
        for layer in copy._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        and not isinstance(layer, GhostBatchNormalization)
    ]
    if left:
        raise InputError(
            f"Layers {left} of model {model.name!r} cannot be replaced: they "
            "are inside of other layers, or of subclasses. Expected layers of "
            f"{', '.join(sorted(kind.__name__ for kind in REPLACED))} in the "
            "graph of the model."
        )
    return copy
