"""Finds which kernels an optimizer trains, and how often in a batch."""

import contextlib
import warnings
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import tensorflow as tf

from cb.callbacks.reallocation.current_fit import CurrentFit
from cb.callbacks.reallocation.gradients import hooked
from cb.callbacks.slots import inner
from cb.distribute.variables import read
from cb.errors import InputError
from cb.errors import argument_error
from cb.errors import first_cause
from cb.errors import one_line
from cb.layers.masked import MaskedKernel
from cb.layers.masked import masked_kernels
from cb.schedules import TrainingLength


class Followed(NamedTuple):
    """An optimizer whose steps make events due.

    Attributes:
        optimizer: Keras optimizer, built.
        kernels: List of `MaskedKernel`, those that it trains.
        updates: Integer, its steps in one batch.
    """

    optimizer: keras.optimizers.Optimizer
    kernels: Sequence[MaskedKernel]
    updates: int = 1

    def training_length(
        self,
        params: Mapping[str, Any],
        epoch: int,
        total_steps: int | None,
        steps_per_epoch: float | None,
    ) -> TrainingLength:
        """Return the length of a training in steps of this optimizer.

        Args:
            params: Dict, what Keras tells callbacks about a `fit`.
            epoch: Integer, its first epoch.
            total_steps: Integer, where it is known; by default the steps so
                far and those of this `fit`.
            steps_per_epoch: Integer, likewise.
        """
        optimizer = inner(self.optimizer)
        accumulation = optimizer.gradient_accumulation_steps or 1
        if batches := params.get("steps"):
            updates = batches * self.updates
            left = (params["epochs"] - epoch) * updates
            done = int(read(optimizer._iterations))
            total_steps = total_steps or (done + left) // accumulation
            # Not rounded: accumulation continues across epochs.
            steps_per_epoch = steps_per_epoch or updates / accumulation
        return TrainingLength(total_steps, steps_per_epoch)


def follow_together(
    callback: Any, kind: type, fit: CurrentFit | None
) -> list[tuple[Any, Followed]]:
    """Find what each callback of a `fit` moves, for the first of them.

    Args:
        callback: A callback of that kind, with a model and an `optimizer`.
        kind: The class of the callbacks that share the kernels.
        fit: `CurrentFit`, or `None` if it is not known.

    Returns:
        List of callbacks and what they follow; empty for all but the first.
    """
    found = fit.callbacks if fit else ()
    together: list[Any] = [one for one in found if isinstance(one, kind)]
    if callback not in together:
        together = [callback]
    if callback is not together[0]:
        return []
    followed = follow(callback.model, [one.optimizer for one in together], fit)
    return [*zip(together, followed, strict=True)]


def follow(
    model: keras.Model,
    optimizers: Sequence[keras.optimizers.Optimizer | None],
    fit: CurrentFit | None,
) -> list[Followed]:
    """Find the masked kernels that each of several optimizers trains.

    A training step of the model's own is traced, not run, to see which
    variables it hands to which optimizer. Frozen kernels belong to none.

    Args:
        model: Compiled Keras model.
        optimizers: List of the optimizers to follow, one for each callback,
            `None` for that of `compile`.
        fit: `CurrentFit`, or `None` if it is not known.

    Returns:
        List of `Followed`, one for each optimizer.

    Raises:
        InputError: If an optimizer makes no step, or a trainable masked
            kernel belongs to none or to two of them.
    """
    chosen = [model.optimizer if o is None else o for o in optimizers]
    calls = _traced(model, chosen, fit)
    kernels = masked_kernels(model)
    if not kernels:
        raise InputError(
            f"Model {model.name!r} has no masked layers. Make it "
            "sparse with `cb.sparsify` first."
        )
    trainable = {id(variable) for variable in model.trainable_variables}
    kernels = [k for k in kernels if id(k.trained) in trainable]
    found = []
    for optimizer, own in zip(chosen, calls, strict=True):
        variables = {id(v) for v in _variables(model, optimizer, own)}
        trained = [k for k in kernels if id(k.trained) in variables]
        found.append(Followed(optimizer, trained, len(own or [None])))
    _check_owners(model, kernels, found)
    return found


def _traced(model, optimizers, fit) -> Sequence[list | None]:
    """Return the lists of variables that a step hands to each optimizer."""
    unknown: list[list | None] = [None] * len(optimizers)
    if not _has_own_step(model) or fit is None or model.run_eagerly:
        return unknown
    calls: dict[int, list] = {id(optimizer): [] for optimizer in optimizers}
    strategy = model.distribute_strategy
    with contextlib.ExitStack() as stack:
        for one in {id(one): one for one in optimizers if one}.values():
            stack.enter_context(hooked(one, _note(calls[id(one)])))
        step = tf.function(
            lambda batch: strategy.run(model.train_step, (batch,)),
            autograph=False,
        )
        try:
            step.get_concrete_function(fit.batch_spec)
        except Exception as error:
            warnings.warn(
                f"The training step of {type(model).__name__} cannot be "
                "traced, to see which variables it hands to which optimizer "
                f"({one_line(first_cause(error))}). `Reallocation` follows the "
                "variables that its optimizer was built with.",
                stacklevel=2,
            )
            return unknown
    replicas = strategy.num_replicas_in_sync
    return [calls[id(one)][::replicas] for one in optimizers]


def _note(calls: list):
    return lambda gradients, variables, apply: calls.append(variables)


def _has_own_step(model) -> bool:
    return type(model).train_step is not keras.Model.train_step


def _variables(model, optimizer, calls) -> list[keras.Variable]:
    """Return the variables that an optimizer trains, and build it."""
    default = optimizer is model.optimizer
    untold = calls is None and (default or _has_own_step(model))
    if optimizer is None or not (calls or untold):
        raise _never_applied(model, optimizer)
    if not optimizer.built:
        if untold and not default:
            raise InputError(
                f"Optimizer {type(optimizer).__name__} must be built before "
                "`fit`: call `optimizer.build(variables)` with those that it "
                "trains."
            )
        first = calls[0] if calls else model.trainable_variables
        # As Keras names the slots in either case.
        scope = keras.name_scope(optimizer.name)
        with model.distribute_strategy.scope():
            with contextlib.nullcontext() if default else scope:
                optimizer.build(list(first))
    if untold:
        return inner(optimizer)._trainable_variables
    return [variable for call in calls for variable in call]


def _never_applied(model, optimizer) -> InputError:
    others = [
        f"`{name}`"
        for name, value in vars(model).items()
        if isinstance(value, keras.optimizers.Optimizer)
        and value is not model.optimizer
    ]
    return argument_error(
        "optimizer",
        f"one that the training step of {type(model).__name__} applies"
        + (f", such as its {' or '.join(others)}" if others else ""),
        type(optimizer).__name__,
        compiled=type(model.optimizer).__name__,
    )


def _check_owners(model, kernels, found: Sequence[Followed]) -> None:
    owners = {
        kernel.name: sum(
            any(kernel.trained is one.trained for one in each.kernels)
            for each in found
        )
        for kernel in kernels
    }
    none = [name for name, number in owners.items() if number == 0]
    if none:
        raise InputError(
            f"Kernels {none} are trainable, but no `Reallocation` of this "
            "`fit` follows an optimizer that trains them. Use one callback "
            "for each optimizer, with `optimizer=`; freeze layers that shall "
            "not train; compile the model again after unfreezing layers."
        )
    several = [name for name, number in owners.items() if number > 1]
    if several:
        raise InputError(
            f"Kernels {several} would be moved by {len(found)} `Reallocation` "
            "callbacks. Use one for each optimizer, with `optimizer=`."
        )
