"""Collective operations between the workers of a training.

All workers must call every function here, in the same order. With one worker
nothing is sent.
"""

import contextlib
import json
import pickle
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import TypeVar

import numpy as np
import tensorflow as tf

from cb.errors import InputError
from cb.errors import RunError

Result = TypeVar("Result")


def rank_and_size(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Return the rank of this worker and the number of workers."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or resolver.task_id is None:
        return 0, 1
    return resolver.task_id, len(resolver.cluster_spec().job_tasks("worker"))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this worker is the chief, which writes the files."""
    return rank_and_size(strategy)[0] == 0


def all_reduce(
    strategy: tf.distribute.Strategy, numbers: np.ndarray
) -> np.ndarray:
    """Sum an array over the workers.

    Args:
        strategy: `tf.distribute.Strategy`.
        numbers: Integer or float array, of one shape on all workers.

    Returns:
        Array of the same shape, with the same bits on all workers.
    """
    index, workers = rank_and_size(strategy)
    if workers == 1:
        return numbers
    first = index * (strategy.num_replicas_in_sync // workers)

    def share(context):
        # Only one replica of each worker contributes.
        own = context.replica_id_in_sync_group == first
        return tf.constant(numbers if own else np.zeros_like(numbers))

    values = strategy.experimental_distribute_values_from_function(share)
    return strategy.reduce("SUM", values, axis=None).numpy()


def all_gather(strategy: tf.distribute.Strategy, data: bytes) -> list[bytes]:
    """Return the bytes of every worker, by rank.

    Args:
        strategy: `tf.distribute.Strategy`.
        data: Bytes of this worker, of any length.

    Returns:
        List of bytes, one item per worker.
    """
    index, workers = rank_and_size(strategy)
    if workers == 1:
        return [data]
    sizes = np.zeros(workers, np.int64)
    sizes[index] = len(data)
    sizes = all_reduce(strategy, sizes)
    table = np.zeros((workers, max(1, -(-int(sizes.max()) // 4))), np.int32)
    table[index] = _words(data, table.shape[1])
    table = all_reduce(strategy, table)
    return [
        row.tobytes()[:size] for row, size in zip(table, sizes, strict=True)
    ]


def broadcast(
    strategy: tf.distribute.Strategy, function: Callable[[], Result]
) -> Result:
    """Call a function on the chief and return its result on all workers.

    Args:
        strategy: `tf.distribute.Strategy`.
        function: Callable without arguments; its result must be picklable.

    Returns:
        The result of the function on the chief.

    Raises:
        InputError: On all workers, if the function raised it on the chief.
        RunError: Likewise.
    """
    index, workers = rank_and_size(strategy)
    if workers == 1:
        return function()
    answer: Any = None
    if index == 0:
        try:
            answer = function()
        except (InputError, RunError) as error:
            answer = error
    data = pickle.dumps(answer) if index == 0 else b""
    size = int(all_reduce(strategy, np.array(len(data), np.int64)))
    words = all_reduce(strategy, _words(data, -(-size // 4)))
    # The data come from the chief over TensorFlow's own channel, whose peers
    # may run any graph here anyway: unpickling adds no risk.
    answer = pickle.loads(words.tobytes()[:size])
    if isinstance(answer, InputError | RunError):
        await_delivery(strategy)
        raise answer
    return answer


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Wait until every worker knows that all have reached this point."""
    all_reduce(strategy, np.zeros(1, np.int32))
    await_delivery(strategy)


def await_delivery(strategy: tf.distribute.Strategy) -> None:
    """Delay the exit of this worker until the others have its last message.

    A process that exits may lose its last message; a worker that reaches this
    call has received it, and needs nothing more.
    """
    with contextlib.suppress(tf.errors.OpError):
        all_reduce(strategy, np.zeros(1, np.int32))


def assert_equal(
    strategy: tf.distribute.Strategy, facts: Mapping[str, object]
) -> None:
    """Check that values are equal on all workers.

    Args:
        strategy: `tf.distribute.Strategy`.
        facts: Dict of name to a value that JSON can represent.

    Raises:
        InputError: On all workers, if one has another value than the chief.
    """
    index, _ = rank_and_size(strategy)
    gathered = all_gather(strategy, json.dumps(facts).encode("utf-8"))
    everyone = [json.loads(data) for data in gathered]
    for number, others in enumerate(everyone):
        differences = [
            f"{name}: {value!r} is not {others.get(name)!r}"
            for name, value in everyone[0].items()
            if value != others.get(name)
        ]
        if differences:
            await_delivery(strategy)
            raise InputError(
                "All workers must have the same configuration and data. "
                f"Received: on worker {index}, worker 0 and worker {number} "
                "differ in " + "; ".join(differences)
            )


def _words(data: bytes, length: int) -> np.ndarray:
    """Return bytes as integers, exact under a sum with zeros."""
    return np.frombuffer(data.ljust(4 * length, b"\0"), np.int32)
