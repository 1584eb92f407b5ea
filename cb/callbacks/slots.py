"""Optimizer slots: the variables that an optimizer keeps for each weight."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from cb.distribute.variables import read
from cb.errors import InputError
from cb.optimization.sequence import OptimizerSequence
from cb.optimization.wrapper import OptimizerWrapper

# Muon orthogonalizes whole updates, which moves inactive weights; Adafactor
# keeps row and column sums instead of a value for each weight.
REFUSED = ("Adafactor", "Muon")


class Slot(NamedTuple):
    """An optimizer variable of the shape of a weight.

    Attributes:
        variable: The Keras variable.
        initial: Float, the value that a fresh connection starts with, or
            `None` for that of the weight itself.
    """

    variable: keras.Variable
    initial: float | None


def inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return the optimizer inside a loss-scaling one, or itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def steps_done(model: keras.Model) -> int:
    """Return the number of optimizer steps that a model has trained."""
    return int(read(model.optimizer.iterations))


def last_learning_rate(model: keras.Model) -> float:
    """Return the learning rate of the last update, at first of the next.

    What the optimizer calls its learning rate is that of the next update.
    """
    optimizer = inner(model.optimizer)
    while isinstance(optimizer, OptimizerWrapper):
        optimizer = optimizer.current
    schedule = optimizer._learning_rate
    if not isinstance(schedule, LearningRateSchedule):
        return float(read(optimizer.learning_rate))
    # Of accumulated gradients the last batch makes the update.
    batches = optimizer.gradient_accumulation_steps or 1
    counter = optimizer._iterations
    last = int(read(counter)) // batches * batches - 1
    step = keras.ops.convert_to_tensor(max(last, 0), counter.dtype)
    return float(schedule(step))


def batch_counter(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """Return the variable that counts batches, accumulated ones too."""
    for attribute in ("inner_optimizer", "optimizer"):
        optimizer = getattr(optimizer, attribute, optimizer)
    return optimizer._iterations


def slots(
    optimizer: keras.optimizers.Optimizer, weights: list[keras.Variable]
) -> list[list[Slot]]:
    """List the slots of each weight, with averages and accumulators.

    Args:
        optimizer: Built Keras optimizer.
        weights: Trainable variables that it updates.

    Returns:
        List of lists of `Slot`, one list a weight.

    Raises:
        InputError: If the optimizer updates inactive weights or has state
            that does not belong to one weight each.
    """
    optimizer = inner(optimizer)
    if isinstance(optimizer, OptimizerSequence):
        parts = [slots(part, weights) for part in optimizer.optimizers]
        return [sum(found, []) for found in zip(*parts, strict=True)]
    name = type(getattr(optimizer, "optimizer", optimizer)).__name__
    if name in REFUSED:
        raise InputError(
            f"Optimizer {name} cannot train masked layers: its update mixes "
            "the weights of a kernel, so inactive ones would not stay zero. "
            "Use one that updates weight by weight, such as SGD or Adam."
        )
    lists = _slot_lists(optimizer)
    covered = {id(slot) for slots, _ in lists for slot in slots}
    uncovered = [
        variable.path
        for variable in optimizer.variables
        if len(variable.shape) > 0 and id(variable) not in covered
    ]
    if uncovered:
        raise InputError(
            f"Optimizer {name} cannot train masked layers: its variables "
            f"{uncovered} do not belong to one weight each."
        )
    indices = [optimizer._get_variable_index(weight) for weight in weights]
    return [
        [Slot(slots[index], initial) for slots, initial in lists]
        for index in indices
    ]


def _slot_lists(optimizer) -> list[tuple[list[keras.Variable], float | None]]:
    """Find the attributes that hold one variable per trainable variable."""
    shapes = [tuple(v.shape) for v in optimizer._trainable_variables]
    return [
        (value, _initial(optimizer, attribute))
        for attribute, value in vars(optimizer).items()
        if attribute not in ("_trainable_variables", "_variables")
        and isinstance(value, list)
        and all(isinstance(item, keras.Variable) for item in value)
        and [tuple(item.shape) for item in value] == shapes
    ]


def _initial(optimizer, attribute: str) -> float | None:
    if attribute == "_accumulators":
        return optimizer.initial_accumulator_value
    if attribute == "_momentums" and _averages_weights(optimizer):
        return None
    return 0.0


def _averages_weights(optimizer) -> bool:
    # What it calls momentum is a copy of the weight.
    return type(optimizer).__name__.startswith("ScheduleFree")


def momentum(
    optimizer: keras.optimizers.Optimizer, weights: list[keras.Variable]
) -> Callable[[], list[np.ndarray]]:
    """Return a reader of the optimizer's smoothed gradient of each weight.

    Adam and its variants divide it by the root of the smoothed squares. In a
    sequence of optimizers, it is that of the current one.

    Args:
        optimizer: Built Keras optimizer.
        weights: Trainable variables that it updates.

    Returns:
        Function without arguments that returns one float32 array a weight.

    Raises:
        InputError: If the optimizer keeps no momentum.
    """
    optimizer = inner(optimizer)
    if isinstance(optimizer, OptimizerSequence):
        readers = {
            id(part): momentum(part, weights) for part in optimizer.optimizers
        }
        return lambda: readers[id(optimizer.current)]()
    names = ("momentums", "_momentums", "_m")
    found = [getattr(optimizer, name, None) for name in names]
    first = next(filter(None, found), None)
    if first is None or _averages_weights(optimizer):
        raise InputError(
            f"Optimizer {type(optimizer).__name__} keeps no momentum. Use "
            "one that does, such as SGD(momentum=0.9) or Adam."
        )
    second = getattr(optimizer, "_velocities", None)
    indices = [optimizer._get_variable_index(weight) for weight in weights]

    def read_one(index):
        value = np.asarray(read(first[index]), np.float32)
        if second:
            square = np.asarray(read(second[index]), np.float32)
            value = value / (np.sqrt(square) + np.float32(1e-8))
        return value

    return lambda: [read_one(index) for index in indices]
