"""Set-up that must come before TensorFlow starts its runtime."""

import os

import pytest


def pytest_configure(config):
    """Split the processor into two logical devices, for replica tests."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.fixture(scope="session")
def two_replicas():
    """The one strategy of the process.

    A second `MirroredStrategy` over the same devices counts its collective
    operations from the same number and fails on other shapes.
    """
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def abstract():
    """Return a maker of models without memory: shapes but no values."""
    import keras
    from keras.src.backend.common import global_state

    def make(build):
        with keras.StatelessScope():
            model = build()
            # What would be initialized at the end of the scope.
            global_state.set_global_attribute("uninitialized_variables", [])
        return model

    return make


@pytest.fixture(scope="session")
def abstract_model(abstract):
    """Return a builder of models of the zoo whose variables hold no values."""
    from cb import models

    return lambda *args: abstract(lambda: models.build(*args))
