"""The batch normalization of a model, as a spec."""

import keras

from cb.errors import InputError
from cb.layers.chunked_loss import ChunkedLoss
from cb.layers.ghosts import Remainder
from cb.layers.ghosts import RunningStatistics
from cb.layers.replacement import replace_batch_normalization
from cb.registry import Count
from cb.registry import Positive
from cb.registry import Rate
from cb.registry import Spec
from cb.registry import nothing
from cb.registry import one_of


def complete(spec: str | Spec) -> Spec:
    """Write out the defaults of a normalization.

    Args:
        spec: `"batch"`, or `"ghost(...)"` with arguments of `ghost`.

    Returns:
        The `Spec` with every default.

    Raises:
        InputError: If the name or an argument is wrong.
    """
    return one_of(
        spec,
        "normalization",
        {"batch": nothing, "ghost": ghost},
        given=("model", "batch"),
    )


def apply(spec: str | Spec, model: keras.Model, batch: int) -> keras.Model:
    """Give a model the batch normalization of a spec.

    Args:
        spec: As in `complete`.
        model: Keras model, Sequential or functional, built.
        batch: Integer, examples in a training batch of one replica.

    Returns:
        The model, or a copy.

    Raises:
        InputError: If the spec is wrong, or does not fit the model.
    """
    spec = complete(spec)
    return model if spec.name == "batch" else ghost(model, batch, **spec.kwargs)


def loss(spec: str | Spec, mean: keras.losses.Loss) -> keras.losses.Loss:
    """Return the loss that belongs to a normalization.

    Args:
        spec: As in `complete`.
        mean: Keras loss, a mean over examples.

    Returns:
        The loss; one that weighs all chunks equally under `torch_chunk`.
    """
    given = complete(spec).kwargs
    if given.get("remainder") != "torch_chunk":
        return mean
    return ChunkedLoss(mean, given["size"], given["batch_size"])


def ghost(
    model: keras.Model,
    batch: int,
    size: Count = 128,
    remainder: Remainder = "fixed",
    running_statistics: RunningStatistics = "per_ghost",
    unbiased_variance: bool = False,
    batch_size: Count | None = None,
    momentum: Rate | None = None,
    epsilon: Positive | None = None,
) -> keras.Model:
    """Normalize over virtual batches.

    Args:
        model: Keras model, Sequential or functional, built.
        batch: Integer, examples in a training batch of one replica.
        size: Integer, examples in a virtual batch.
        remainder: As in `cb.layers.GhostBatchNormalization`.
        running_statistics: As in the layer.
        unbiased_variance: As in the layer.
        batch_size: As in the layer.
        momentum: Float; that of each layer by default.
        epsilon: Float; that of each layer by default.

    Returns:
        A copy of the model.

    Raises:
        InputError: If an argument is wrong, or the model has no batch
            normalization.
    """
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
