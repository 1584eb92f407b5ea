"""Everything of the trainer between two workers, against one process."""

import collections
import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb import distribute
from cb.callbacks.checkpointing import AverageStatistics
from cb.distribute import collectives
from cb.distribute.join import Workers
from cb.distribute.join import join
from cb.distribute.variables import average_replicas
from cb.distribute.variables import read
from cb.distribute.variables import read_replicas
from cb.distribute.variables import write_replicas
from cb.errors import InputError
from cb.layers.masked import masked_kernels
from cb.schedules import TrainingLength
from cb.sparsity import reallocation
from tests.workers import alone
from tests.workers import cluster
from tests.workers import finish
from tests.workers import redirect

INPUTS, CLASSES, BATCH, BATCHES, EPOCHS = 8, 4, 8, 3, 2
# No number of workers shares these evenly.
ODD = 7


def examples(number, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(number, INPUTS)).astype("float32")
    return x, random.integers(CLASSES, size=number)


def build(strategy, kernels="masked"):
    """Build and compile a sparse model, the same every time."""
    first, second = (
        keras.initializers.GlorotUniform(seed=seed) for seed in range(2)
    )
    with strategy.scope():
        inputs = x = keras.Input((INPUTS,))
        # Keras numbers layers through in a process; these are told apart.
        hidden = keras.layers.Dense(8, kernel_initializer=first, name="hidden")
        ghosts = cb.layers.GhostBatchNormalization(2, name="ghosts")
        logits = keras.layers.Dense(
            CLASSES, kernel_initializer=second, name="logits"
        )
        x = logits(keras.activations.tanh(ghosts(hidden(x))))
        model = cb.sparsify(keras.Model(inputs, x), 0.5, seed=0)
        if kernels == "csr":
            model = cb.to_csr(model, max_density=1.0, min_size=1)
        model.compile(
            keras.optimizers.SGD(0.1, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        model.optimizer.build(model.trainable_variables)
    return model


def algorithm(name):
    """Build an algorithm with events often enough for a short training."""
    kind = reallocation.get(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    wanted = {"every": 2, "end": 1.0}
    return kind(**{key: wanted[key] for key in wanted if key in fields})


class Session:
    """Trains one model again and again, and notes what comes of it."""

    def __init__(self, strategy, kernels="masked"):
        self.found = {}
        self.model = build(strategy, kernels)
        self._variables = [
            *self.model.variables,
            *self.model.optimizer.variables,
        ]
        self._start = [read(variable) for variable in self._variables]
        self._data = tf.data.Dataset.from_tensor_slices(
            examples(BATCHES * BATCH)
        ).batch(BATCH)

    def fit(self, name, *callbacks):
        """Train from the beginning; note all variables and the metrics."""
        for variable, value in zip(self._variables, self._start, strict=True):
            write_replicas(variable, [value])
        history = self.model.fit(
            self._data,
            epochs=EPOCHS,
            callbacks=[*callbacks, AverageStatistics()],
            shuffle=False,
            verbose=0,
        ).history
        for key, values in history.items():
            self.found[f"{name}/{key}"] = values
        for number, variable in enumerate(self._variables):
            self.found[f"{name}/{number}_{variable.name}"] = read(variable)

    def masks(self):
        return {k.name: read(k.mask) for k in masked_kernels(self.model)}


def results(strategy):
    """Train with everything; return arrays by name."""
    # As every training does.
    tf.config.experimental.enable_op_determinism()
    session = Session(strategy)
    probe = tf.data.Dataset.from_tensor_slices(examples(8 * BATCH, 9))
    for name in reallocation.names():

        def note(step, changes, name=name):
            for layer, mask in session.masks().items():
                session.found[f"{name}/after_{step}/{layer}"] = mask

        session.fit(
            name,
            cb.callbacks.Reallocation(
                algorithm(name), probe.batch(BATCH), on_event=note
            ),
        )
    monitor = cb.callbacks.BundleMonitor(
        examples(16, 5), BATCH, every=2, num_samples=16
    )
    distance = cb.callbacks.WeightDistance()
    session.fit("watched", monitor, distance)
    found = session.found
    found["watched/bundles"] = monitor.get_state()["entropies"]
    found["watched/distance"] = distance.distances["total"]
    odd = tf.data.Dataset.from_tensor_slices(examples(ODD, 3)).batch(4)
    scores = session.model.evaluate(odd, return_dict=True, verbose=0)
    found |= {f"scores/{key}": value for key, value in scores.items()}
    compiled = Session(strategy, "csr")
    rigl = cb.callbacks.Reallocation(algorithm("rigl"), probe.batch(BATCH))
    compiled.fit("csr", rigl)
    return found | compiled.found


def work(flags, folder, writer):
    """Be one of two workers."""
    redirect(folder, writer)
    _, hosts, index = (flag.partition("=")[2] for flag in flags)
    strategy = join(Workers(hosts.split(","), int(index), 60.0))
    np.savez("found.npz", **results(strategy), **exchanged(strategy))
    collectives.barrier(strategy)


def work_alone(flags, folder, writer):
    """Be one process with both devices."""
    redirect(folder, writer)
    strategy = distribute.build("mirrored(devices=2)")
    np.savez("found.npz", **results(strategy))


def exchanged(strategy):
    """Return what the collectives of the project give."""
    index, workers = collectives.rank_and_size(strategy)
    with strategy.scope():
        variable = keras.Variable(
            np.zeros(2, np.float32), trainable=False, name="own"
        )
    write_replicas(variable, [np.full(2, -0.0, np.float32), np.ones(2)])
    (own,) = read_replicas([variable])
    average_replicas([variable])
    ((mean,),) = read_replicas([variable])
    return {
        "own": np.stack(own),
        "mean": mean,
        "chief": collectives.broadcast(strategy, lambda: f"of worker {index}"),
        "gathered": collectives.all_gather(strategy, b"ab" * index),
        "total": collectives.all_reduce(strategy, np.arange(3) + index),
        "position": np.array([index, workers]),
    }


OWN = ("own", "mean", "chief", "gathered", "total", "position")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what each of two workers finds, and one process with both."""
    folder = tmp_path_factory.mktemp("workers")
    own = folder / "alone"
    own.mkdir()
    # All at once; a process of its own, since determinism cannot be undone.
    with (
        cluster(2, [], folder, work) as workers,
        alone([], own, work_alone) as one,
    ):
        codes, printed = finish([*workers, one])
    assert codes == (0, 0, 0), printed
    found = []
    for name in ("worker_0", "worker_1", "alone"):
        with np.load(folder / name / "found.npz") as file:
            found.append(dict(file))
    return found


def assert_same(found, prefix):
    """Compare all that begins so, bit by bit; return the names."""
    first, second, here = found
    keys = [key for key in here if key.startswith(prefix)]
    for key in keys:
        for worker in (first, second):
            np.testing.assert_array_equal(worker[key], here[key], key)
    return keys


def test_nothing_else_is_found(found):
    first, second, here = found
    assert {*first} == {*second} == {*here, *OWN}


@pytest.mark.parametrize("name", reallocation.names())
def test_every_algorithm_does_what_it_does_in_one_process(name, found):
    keys = assert_same(found, f"{name}/")
    assert any(key.endswith("_mask") for key in keys)
    assert any(key.endswith("_moving_mean") for key in keys)
    assert f"{name}/loss" in keys
    steps = EPOCHS * BATCHES
    moves = algorithm(name).period(TrainingLength(steps, BATCHES)) is not None
    assert moves == any(f"{name}/after_2/" in key for key in keys)


def test_layers_on_csr_kernels_do_what_they_do_in_one_process(found):
    keys = assert_same(found, "csr/")
    assert sum(key.endswith("_values") for key in keys) == 2
    moved = [key for key in keys if key.endswith("_indices")]
    assert len(moved) == 2


def test_bundles_and_distances_are_those_of_one_process(found):
    assert_same(found, "watched/")
    assert found[0]["watched/bundles"].shape[0] == EPOCHS * BATCHES // 2
    assert (found[0]["watched/distance"] > 0).all()


def test_every_example_is_scored_once(found):
    assert_same(found, "scores/")
    x, labels = examples(ODD, 3)
    logits = forward(x, found[0])
    exponentials = np.exp(logits)
    chances = exponentials / exponentials.sum(1, keepdims=True)
    losses = -np.log(chances[np.arange(ODD), labels])
    for key, expected in (
        ("loss", losses.mean()),
        ("accuracy", (logits.argmax(1) == labels).mean()),
    ):
        assert found[0][f"scores/{key}"] == pytest.approx(expected, abs=1e-6)


def forward(x, found):
    """Return the logits of the model trained last, by NumPy alone."""
    values = collections.defaultdict(list)
    for key, value in found.items():
        if key.startswith("watched/"):
            values[key.partition("_")[2]].append(value)
    pairs = zip(values["kernel"], values["mask"], strict=True)
    kernels = [kernel * mask for kernel, mask in pairs]
    biases = values["bias"]
    (mean,), (variance,) = values["moving_mean"], values["moving_variance"]
    (gamma,), (beta,) = values["gamma"], values["beta"]
    deviation = np.sqrt(variance + cb.layers.GhostBatchNormalization(2).epsilon)
    x = (x @ kernels[0] + biases[0] - mean) / deviation * gamma + beta
    return np.tanh(x) @ kernels[1] + biases[1]


def test_collectives(found):
    for index, worker in enumerate(found[:2]):
        assert worker["position"].tolist() == [index, 2]
        assert worker["own"].tolist() == [[0.0, 0.0], [1.0, 1.0]]
        assert np.signbit(worker["own"][0]).all()
        assert worker["mean"].tolist() == [0.5, 0.5]
        assert worker["chief"] == "of worker 0"
        assert worker["gathered"].tolist() == [b"", b"ab"]
        assert worker["total"].tolist() == [1, 3, 5]


def test_numbers_of_other_replicas_are_averaged():
    """Inside of an epoch, each has statistics of normalizations of its own."""
    variable = keras.Variable(np.zeros(2, "float32"), trainable=False)
    values = [np.float32([1, 2]), np.float32([2, 6])]
    with pytest.raises(InputError, match="different values on 2 replicas"):
        write_replicas(variable, values)
    write_replicas(variable, values, averaged=True)
    np.testing.assert_array_equal(variable, [1.5, 4.0])
    counter = keras.Variable(np.zeros(2, "int32"), trainable=False)
    with pytest.raises(InputError, match="different values on 2 replicas"):
        write_replicas(counter, [np.int32([1, 2])] * 2, averaged=True)
