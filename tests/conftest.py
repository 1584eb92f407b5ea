"""Sets up TensorFlow before its runtime starts; orders and chooses tests."""

import functools
import gc
import os
import signal
import sys

import pytest
import wrapt

# A module of tests that imports one of these is none of the quick ones.
SLOW_IMPORTS = (
    "cb.models",
    "keras",
    "tensorflow",
    "tensorflow_datasets",
    "tests.forks",
    "tests.workers",
)
# A module of tests that uses functions of these starts processes.
OF_PROCESSES = ("tests.commands", "tests.workers")
# Objects between two collections: models leave much that is not garbage.
COLLECTED = 20_000
MARK_IT = "A quick test {}: mark it with `@pytest.mark.slow`."


def pytest_addoption(parser):
    """Add `--quick`."""
    parser.addoption(
        "--quick",
        action="store_true",
        help="only tests that neither import TensorFlow nor start a process",
    )


def pytest_configure(config):
    """Keep TensorFlow quiet, and out of the quick tests."""
    # Some tests send this one, which `nohup` lets processes ignore.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    config.addinivalue_line(
        "markers",
        "slow: imports TensorFlow inside of a test, or starts a process",
    )
    if config.getoption("quick"):
        config.pluginmanager.register(Quick())


def pytest_collection_modifyitems(items):
    """Begin with modules that start processes.

    Their tests are the longest and often wait. One worker has them all at
    first, while others compute; the last tests of the suite are short.
    """
    items.sort(key=lambda item: not starts_processes(item.module))


@functools.cache
def starts_processes(module):
    """Return whether a module of tests uses a function that starts one."""
    return any(
        getattr(value, "__module__", None) in OF_PROCESSES
        for value in vars(module).values()
    )


def pytest_collection_finish():
    """Leave what was imported out of garbage collections, as commands do."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED)


# TensorFlow takes seconds to import, and many tests do without.
@wrapt.when_imported("tensorflow")
def split_the_processor(tf):
    """Make two logical devices of the processor, for tests of replicas."""
    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.fixture
def xla():
    """Let Keras compile by XLA, whatever ran before in this process.

    It does not while operations are deterministic, which every training of the
    project asks for, once and for its process.
    """
    from tensorflow.python.framework import config

    deterministic = config.is_op_determinism_enabled()
    config.disable_op_determinism()
    yield
    if deterministic:
        config.enable_op_determinism()


class Quick:
    """Leaves out what is slow; fails a test that is and does not say so.

    A module of tests that imports TensorFlow, itself or by what it imports, is
    left out as soon as it tries to.
    """

    def __init__(self):
        self._collecting = True
        sys.meta_path.insert(0, self)
        sys.addaudithook(self._audit)

    def find_spec(self, name, path=None, target=None):
        """Refuse to find what is slow to import."""
        if name in SLOW_IMPORTS:
            if self._collecting:
                pytest.skip(f"imports {name}", allow_module_level=True)
            pytest.fail(MARK_IT.format(f"imports {name}"))

    def _audit(self, event, arguments):
        if event == "subprocess.Popen" and not self._collecting:
            pytest.fail(MARK_IT.format("starts a process"))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector):
        """Count modules that were left out neither as skipped nor failed."""
        outcome = yield
        report = outcome.get_result()
        if report.skipped:
            report.outcome, report.longrepr = "passed", None

    def pytest_collection_modifyitems(self, config, items):
        """Leave out tests that are marked as slow."""
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]

    def pytest_collection_finish(self):
        """From here on nothing slow may be imported."""
        self._collecting = False


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
