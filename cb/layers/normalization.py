"""Which batch normalization a model has, chosen by name."""

import keras

from cb.errors import InputError
from cb.layers.replacement import replace_batch_normalization
from cb.registry import Registry

REGISTRY = Registry("normalization", __name__, given=("model", "batch"))


@REGISTRY.register("batch")
def batch(model: keras.Model) -> keras.Model:
    """Leave the model as it is."""
    return model


@REGISTRY.register("ghost")
def ghost(
    model: keras.Model,
    batch: int,
    size: int = 128,
    remainder: str = "fixed",
    running_statistics: str = "per_ghost",
    unbiased_variance: bool = False,
    batch_size: int | None = None,
    momentum: float | None = None,
    epsilon: float | None = None,
) -> keras.Model:
    """Normalize over virtual batches.

    Args:
        model: Keras model, Sequential or functional, built.
        batch: Integer, examples in a training batch of one replica.
        size: Integer, examples in a virtual batch.
        remainder: As of `cb.layers.GhostBatchNormalization`.
        running_statistics: As of the layer.
        unbiased_variance: As of the layer.
        batch_size: As of the layer.
        momentum: Float; that of each layer by default.
        epsilon: Float; that of each layer by default.

    Returns:
        A copy of the model.

    Raises:
        InputError: If an argument is wrong, or the model has no batch
            normalization.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InputError(
            "Argument `size` of normalization `ghost` must be a positive "
            f"integer. Received: size={size!r}"
        )
    if remainder == "error" and batch % size:
        raise InputError(
            "Argument `size` of normalization `ghost` must divide the batch "
            f"of a replica under remainder='error'. Received: size={size}, a "
            f"batch of {batch}"
        )
    given = {"momentum": momentum, "epsilon": epsilon}
    return replace_batch_normalization(
        model,
        size,
        remainder=remainder,
        running_statistics=running_statistics,
        unbiased_variance=unbiased_variance,
        batch_size=batch_size,
        **{key: value for key, value in given.items() if value is not None},
    )
