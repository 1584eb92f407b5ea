"""Applies a regime, or the model's own recipe, below the user's values."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cb import models
from cb.config import Config
from cb.config import is_explicit
from cb.errors import InputError
from cb.models.recipes import Recipe
from cb.optimization import regimes
from cb.optimization.regimes import Regime
from cb.sparsity.amount import as_text

MODEL = "model"
# Settings of the optimizer that a regime names.
OF_OPTIMIZER = ("optimizer", "momentum", "nesterov", "weight_decay")


def applied(
    config: Config, sources: Mapping[str, str]
) -> tuple[Config, dict[str, str]]:
    """Write a regime out, overridden by the values that the user gave.

    `--learning_rate` scales the learning rates so that the first is the one
    given, `--learning_rate_schedule` replaces their changes, `--optimizer`
    the optimizer with its momentum and decay. The regime of a model also
    sets epochs, batch size, label smoothing, clipping and sparsity from the
    model's recipe, except those that are given.

    Args:
        config: `Config`.
        sources: Dict of field to the origin of its value.

    Returns:
        Tuple of the `Config`, with the regime as YAML text that needs no
        file and no model, and of the sources. A regime that is written out
        already stays the same.

    Raises:
        InputError: If there is no such regime, or it is not valid.
    """
    if config.regime == "none":
        return config, dict(sources)
    regime = _read(config)
    if is_explicit("learning_rate", sources):
        regime = regime.starting_at(config.learning_rate)
    if is_explicit("learning_rate_schedule", sources):
        regime = regime.without("learning_rate", start=1)
    if is_explicit("optimizer", sources):
        regime = regime.without(*OF_OPTIMIZER)
    values: dict[str, Any] = {
        **_recipe_values(config),
        "learning_rate": regime.at(0)["learning_rate"],
        "learning_rate_schedule": "constant",
    }
    for field in [*values]:
        if is_explicit(field, sources):
            del values[field]
    config = dataclasses.replace(config, regime=str(regime), **values)
    return config, {**sources, **dict.fromkeys(values, "regime")}


def _recipe_values(config: Config) -> dict[str, Any]:
    """Return the fields that the model's recipe sets besides the regime."""
    if config.regime.strip() != MODEL:
        return {}
    recipe = _recipe(config)
    values = {
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "label_smoothing": recipe.label_smoothing,
        "global_clipnorm": recipe.clip_norm,
        **recipe.sparsity,
    }
    if "sparsity" in values:
        values["sparsity"] = as_text(values["sparsity"])
    return {key: value for key, value in values.items() if value is not None}


def _recipe(config: Config) -> Recipe:
    recipe = models.recipe(config.model)
    if recipe is None:
        raise InputError(
            "Argument `regime` must be none or a file: the model has no "
            f"regime of its own. Received: regime='model', "
            f"model={config.model!r}"
        )
    return recipe


def _read(config: Config) -> Regime:
    text = config.regime.strip()
    if text == MODEL:
        recipe = _recipe(config)
        if callable(recipe.regime):
            epochs = recipe.epochs or config.epochs
            return regimes.from_function(recipe.regime, epochs)
        return regimes.from_dict(recipe.regime)
    return regimes.read(text)
