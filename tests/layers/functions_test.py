"""Functions of objects are counted by object."""

import logging

import pytest
import tensorflow as tf

from cb.layers.functions import own_function


class Adder:
    """Adds a number of its own."""

    def __init__(self, number, make):
        self.number = number
        self.function = make(self.add, autograph=False)

    def add(self, x):
        return x + self.number


@pytest.mark.parametrize("make, warns", [(own_function, 0), (tf.function, 1)])
def test_objects_that_are_traced_once_each_are_no_retracing(make, warns):
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = tf.get_logger()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        for number in range(8):
            adder = Adder(float(number), make)
            for _ in range(2):
                assert adder.function(tf.zeros(())) == number
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert any("retracing" in text for text in messages) == warns
