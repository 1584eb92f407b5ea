"""The shim is still needed: without either half of it, training fails."""

from tests.workers import cluster
from tests.workers import finish
from tests.workers import redirect

MENDED = (
    "Keras trains under MultiWorkerMirroredStrategy by itself now "
    "(keras-team/keras#20585): delete cb/distribute/keras_issue_20585.py, or "
    "the half of it that is not needed. "
)


def fit_in_parts(flags, folder, writer):
    """Try to train a model with each half of the shim alone, then both."""
    redirect(folder, writer)
    import keras
    import numpy as np
    import tensorflow as tf

    from cb.distribute import keras_issue_20585 as shim

    _, hosts, index = (flag.partition("=")[2] for flag in flags)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(
        tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": hosts.split(",")}),
            task_type="worker",
            task_id=int(index),
            rpc_layer="grpc",
        )
    )

    def fit(name):
        with strategy.scope():
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(loss=loss)
        try:
            model.fit(np.ones((4, 2)), np.ones(4, np.int32), verbose=0)
            print(name, "trains")
        except (TypeError, ValueError) as error:
            print(name, "fails", error)

    trainer = shim.trainer.TensorFlowTrainer
    published = trainer._maybe_symbolic_build
    fit("neither")
    shim.install_symbolic_build()
    fit("build")
    trainer._maybe_symbolic_build = published
    shim.install_log_reduction()
    fit("reduction")
    shim.install()
    fit("both")


def test_keras_has_not_mended_it(tmp_path):
    with cluster(2, [], tmp_path, fit_in_parts) as workers:
        codes, outputs = finish(workers)
    assert codes == (0, 0), outputs
    for printed in outputs:
        for line in ("neither fails", "build fails", "reduction fails"):
            assert line in printed, MENDED + printed
        assert "both trains" in printed
