"""Workers that would train different things find out before they begin."""

import json
from collections.abc import Mapping

import tensorflow as tf

from cb.distribute import exchange
from cb.errors import InputError


def require_equal(
    strategy: tf.distribute.Strategy, facts: Mapping[str, object]
) -> None:
    """Compare facts between all workers.

    Args:
        strategy: `tf.distribute.Strategy`.
        facts: Dict of name to a value that JSON can hold.

    Raises:
        InputError: On all workers, if one has another value than the chief.
    """
    index, _ = exchange.position(strategy)
    everyone = [
        json.loads(data)
        for data in exchange.gather(strategy, json.dumps(facts).encode("utf-8"))
    ]
    for number, others in enumerate(everyone):
        differences = [
            f"{name}: {value!r} is not {others.get(name)!r}"
            for name, value in everyone[0].items()
            if value != others.get(name)
        ]
        if differences:
            exchange.linger(strategy)
            raise InputError(
                "All workers must be given the same. This is worker "
                f"{index}; worker 0 and worker {number} differ in "
                + "; ".join(differences)
            )
