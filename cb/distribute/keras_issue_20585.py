"""Makes Keras 3 train under `MultiWorkerMirroredStrategy`.

Two functions of Keras fail (keras-team/keras#20585). The symbolic build
averages a batch over the workers, which is impossible for labels and for
batches on one replica; the reduction of a step's logs asks for the first axis
of scalars. A test fails once Keras has fixed them; then this module can be
deleted.
"""

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import trainer


def install() -> None:
    """Replace both functions for the rest of the process."""
    install_symbolic_build()
    install_log_reduction()


def install_symbolic_build() -> None:
    """Build from the batch of the first replica of this worker."""
    trainer.TensorFlowTrainer._maybe_symbolic_build = _maybe_symbolic_build


def install_log_reduction() -> None:
    """Average the logs of a step over all replicas."""
    trainer.reduce_per_replica = _reduce_per_replica


def _maybe_symbolic_build(self, iterator=None, data_batch=None):
    if self._distribute_strategy is None:
        return
    strategy = self.distribute_strategy
    if iterator is not None:
        for _, _, batches in iterator:
            data_batch = keras.tree.map_structure(
                lambda value: strategy.experimental_local_results(value)[0],
                next(batches),
            )
            break
    with strategy.scope():
        self._symbolic_build(data_batch=data_batch)


_original_reduction = trainer.reduce_per_replica


def _reduce_per_replica(values, strategy, reduction):
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if not (several and reduction in ("auto", "mean")):
        return _original_reduction(values, strategy, reduction)
    flat = keras.tree.flatten(values)
    # One message for all values.
    stacked = strategy.run(_stack, args=(flat,))
    means = tf.unstack(strategy.reduce("MEAN", stacked, axis=None))
    return keras.tree.pack_sequence_as(values, means)


def _stack(scalars):
    return tf.stack([tf.cast(scalar, tf.float32) for scalar in scalars])
