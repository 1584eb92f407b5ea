"""Recipes: how the source of a model trained it, as data."""

import dataclasses
from collections.abc import Callable
from typing import Any

from cb.datasets.preparation import BIG_BATCH


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A published way to train a model; explicit flags win over it.

    Args:
        regime: Settings of the optimizer: a dict from the epoch at which they
            change, each of which holds until it is set again, or a function
            of the epoch. Settings are `optimizer` (a name),
            `learning_rate`, `momentum`, `nesterov` and `weight_decay`.
        epochs: Integer, length of the training.
        batch_size: Integer.
        train_transform: Tuple of specs of input transforms for training, in
            order; `None` for those of the data set.
        label_smoothing: Float.
        clip_norm: Float, limit of the global norm of the gradient, or `None`.
        sparsity: Arguments of `cb.sparsify` that the source used.
    """

    regime: dict[int, dict[str, Any]] | Callable[[int], dict[str, Any]]
    epochs: int | None = None
    batch_size: int | None = None
    train_transform: tuple[str, ...] | None = None
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    sparsity: dict[str, Any] = dataclasses.field(default_factory=dict)


def trained_by(recipe: Recipe | Callable[..., Recipe]):
    """Return a decorator that gives a model's builder its recipe.

    Args:
        recipe: `Recipe`, or a function of the builder's arguments that
            returns one.
    """

    def decorator(builder):
        builder.recipe = recipe
        return builder

    return decorator


def sgd(*steps, weight_decay, momentum=0.9, renewed=(), **settings) -> dict:
    """Write a regime of SGD: pairs of an epoch and a learning rate.

    Args:
        *steps: Pairs `(epoch, learning_rate)`, the first at epoch 0.
        weight_decay: Float.
        momentum: Float.
        renewed: Epochs at which the optimizer is made anew.
        **settings: Other settings at epoch 0.

    Returns:
        Dict of epoch to settings.
    """
    regime = {epoch: {"learning_rate": rate} for epoch, rate in steps}
    for epoch in renewed:
        regime[epoch]["optimizer"] = "sgd"
    regime[0] = {
        "optimizer": "sgd",
        "momentum": momentum,
        "weight_decay": weight_decay,
        **settings,
        **regime[0],
    }
    return regime


def big_batch(*steps, **settings) -> Recipe:
    """Return a recipe for CIFAR of the large-batch literature.

    Args:
        *steps: As in `sgd`.
        **settings: Other arguments of `sgd`.

    Reference:

    - [Hoffer et al., 2017](https://arxiv.org/abs/1705.08741)
    """
    return Recipe(
        regime=sgd(*steps, **settings),
        epochs=200,
        clip_norm=5.0,
        train_transform=BIG_BATCH,
    )
