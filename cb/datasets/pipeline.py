"""Batches as a pure function of the seed and the step."""

import time
from collections.abc import Callable

import tensorflow as tf

from cb.datasets import augmentation
from cb.datasets import storage
from cb.datasets.augmentation import Pipeline
from cb.datasets.augmentation.randomness import uniform
from cb.datasets.dataset_splits import Examples
from cb.errors import InputError
from cb.seeds import fold_in

# Batches of which one is timed: that takes as long as a small step waits.
TIMED_EVERY = 8


class TrainingBatches:
    """Training batches that any step can be asked for.

    Stateful shuffles do not survive a restart, so the order is computed: a
    keyed permutation of each epoch's indices, evaluated at the positions of
    the step. Every epoch drops the remainder of its own permutation.

    Args:
        examples: `Examples`.
        batch_size: Integer, global.
        seed: Integer.
        augment: `Pipeline` of augmentations, or its spec.
        accumulation: Integer, batches in an update of the weights. Every
            epoch has whole updates.
        targets: Function `(features, labels, seed)` that returns features,
            targets and perhaps weights of the examples, or `None` to leave
            the labels; `seed` is an integer tensor `(2,)` of its own for
            every batch.
        workers: Integer, threads that prepare batches, which do not depend on
            it; `None` lets TensorFlow choose.

    Raises:
        InputError: If there are fewer examples than a batch holds, or
            augmentations are asked for that the features cannot take.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        seed: int,
        augment: str | Pipeline = "none",
        accumulation: int = 1,
        targets: Callable | None = None,
        workers: int | None = None,
    ):
        update = batch_size * accumulation
        if update > len(examples):
            raise InputError(
                "Argument `batch_size`, times `gradient_accumulation`, must be "
                f"at most the number of training examples, {len(examples)}. "
                f"Received: batch_size={batch_size}, "
                f"gradient_accumulation={accumulation}"
            )
        self.batch_size = batch_size
        self.accumulation = accumulation
        self.steps_per_epoch = len(examples) // update * accumulation
        self._targets = targets
        self._seed = seed
        self.size = len(examples)
        self._labels = tf.constant(examples.labels)
        self._workers = workers
        self.chain = augmentation.build(augment).fitted(examples.features)
        # Refuses transforms of other features, before the first batch.
        self.chain.output_shape(examples.features.shape[1:])
        self._read = storage.reader(examples.features)
        self._arrivals: dict[int, float] = {}

    def dataset(
        self, first_step: int, last_step: int, timed: bool = True
    ) -> tf.data.Dataset:
        """Return the batches of the steps in `[first_step, last_step)`.

        Args:
            first_step: Integer, counted from the start of the training.
            last_step: Integer.
            timed: Boolean, whether `seconds_waited` will be asked for.

        Returns:
            A `tf.data.Dataset` of `(features, labels)`: float32
            `(batch_size, ...)` and int32 `(batch_size,)`.
        """
        steps = tf.data.Dataset.range(first_step, last_step)
        batches = _mapped(steps, self._batch, self._workers)
        if timed:
            batches = self._noted(batches)
        batches = batches.prefetch(tf.data.AUTOTUNE)
        length = max(last_step - first_step, 0)
        return batches.apply(tf.data.experimental.assert_cardinality(length))

    def seconds_waited(self, number: int, asked: float) -> float | None:
        """Return how long a step waited, `None` if its batch is not timed.

        Args:
            number: Integer, which batch of the last `dataset`, from 0.
            asked: Float, the `time.perf_counter()` when the step began.
        """
        arrival = self._arrivals.pop(number, None)
        return None if arrival is None else max(arrival - asked, 0.0)

    def probe(self, number: int):
        """Return batch `number` of an order of its own.

        Args:
            number: Integer, from 0.

        Returns:
            Tuple of features and labels, as in `dataset`.
        """
        return self._probe_batch(tf.constant(number, tf.int64))[:2]

    def view(self, positions, epoch):
        """Return examples as an epoch of training sees them.

        Args:
            positions: Integer tensor `(number,)`, which examples.
            epoch: Integer, or integer scalar tensor.

        Returns:
            float32 tensor `(number, ...)`.
        """
        positions = tf.convert_to_tensor(positions, tf.int64)

        def draw(name, positions):
            return uniform(self._seed, epoch, positions, name)

        return self._read(positions, self.chain, draw)

    @tf.function(autograph=False)
    def _probe_batch(self, number):
        return self._batch(number, order="probe")

    def _batch(self, step, order="training"):
        epoch = step // self.steps_per_epoch
        first = step % self.steps_per_epoch * self.batch_size
        key = fold_in(self._seed, "order", order)
        seed = tf.stack(
            [
                tf.constant(key & 0xFFFFFFFF, tf.uint32),
                tf.cast(epoch + (key >> 32), tf.uint32),
            ]
        )
        examples = tf.random.experimental.index_shuffle(
            first + tf.range(self.batch_size, dtype=tf.int64),
            seed,
            max_index=self.size - 1,
        )

        features = self.view(examples, epoch)
        labels = tf.gather(self._labels, examples)
        if self._targets is None:
            return features, labels
        key = fold_in(self._seed, "targets", order) & 0x7FFFFFFF
        seed = tf.stack([tf.constant(key), tf.cast(step, tf.int32)])
        return self._targets(features, labels, seed)

    def _noted(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Note when some batches are there, on the thread that prefetches.

        The clock is Python's: TensorFlow has none that it calls deterministic.
        """
        arrivals = self._arrivals = {}

        def note(group):
            arrivals[TIMED_EVERY * int(group)] = time.perf_counter()
            return True

        def noted(group):
            done = tf.numpy_function(note, [group], tf.bool)
            return tf.data.Dataset.from_tensors(done).repeat(TIMED_EVERY)

        clock = tf.data.Dataset.counter().flat_map(noted)
        return tf.data.Dataset.zip(batches, clock).map(lambda batch, _: batch)


def evaluation_batches(
    examples: Examples,
    batch_size: int,
    replicas: int = 1,
    chain: Pipeline | None = None,
    workers: int | None = None,
) -> tf.data.Dataset:
    """Return every example once, in order, no remainder dropped.

    Args:
        examples: `Examples`.
        batch_size: Integer, examples in a batch. Fewer where replicas would
            share the last batch badly; more where that does not help.
        replicas: Integer, replicas that share each batch.
        chain: `Pipeline` for evaluation; by default pixels are only scaled.
        workers: As in `TrainingBatches`.

    Returns:
        A `tf.data.Dataset` of `(features, labels)`.

    Raises:
        InputError: If there are too few examples for so many replicas.
    """
    size = _shared_size(len(examples), batch_size, replicas)
    read = storage.reader(examples.features)
    chain = chain or augmentation.build(augmentation.NONE)
    chain.output_shape(examples.features.shape[1:])
    labels = tf.constant(examples.labels)

    def batch(positions):
        return read(positions, chain, None), tf.gather(labels, positions)

    positions = tf.data.Dataset.range(len(examples)).batch(size)
    return _mapped(positions, batch, workers).prefetch(tf.data.AUTOTUNE)


def _shared_size(count: int, batch_size: int, replicas: int) -> int:
    """Return a batch size with which every replica has examples, always.

    The mean loss of a replica without examples is not a number.
    """

    def shared(size):
        # Each takes as many, rounded up, until there are none.
        return (replicas - 1) * -(-size // replicas) < size

    most = min(batch_size, count)
    for size in (*range(most, 0, -1), *range(most + 1, count + 1)):
        rest = count % size
        if shared(size) and (not rest or shared(rest)):
            return size
    raise InputError(
        f"Evaluation cannot share {count} examples among {replicas} replicas "
        "so that each always has some. Expected more examples, or a "
        "`strategy` of fewer replicas."
    )


def _mapped(dataset, function, workers: int | None) -> tf.data.Dataset:
    """Map in parallel, in order, with a number of threads if one is given."""
    dataset = dataset.map(
        # Conversion takes time, and transforms are refused that would need it.
        tf.autograph.experimental.do_not_convert(function),
        num_parallel_calls=workers or tf.data.AUTOTUNE,
        deterministic=True,
    )
    if workers is None:
        return dataset
    options = tf.data.Options()
    options.threading.private_threadpool_size = workers
    return dataset.with_options(options)
