"""Streamed and merged, the entropy is the one of all examples at once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.errors import InputError
from cb.metrics import BundleEntropy
from cb.metrics import bundle_entropy

STEP = {"learning_rate": 1.0, "batch_size": 8}


def examples(count=200, seed=0):
    random = np.random.default_rng(seed)
    rows = random.integers(0, 3, (count, 4)).astype(np.float32)
    return rows, random.integers(0, 5, count)


def all_at_once(rows, labels, amplitude=1.0):
    ids, count, entropy = bundle_entropy(
        rows, labels, amplitude=amplitude, num_classes=5, **STEP
    )
    return ids.numpy().tolist(), int(count), float(entropy)


def partition(metric):
    ids, count, entropy = metric.partition()
    return ids.numpy().tolist(), int(count), float(entropy)


def test_the_name_of_the_contract_is_the_function():
    assert callable(cb.metrics.bundle_entropy)


def test_batches_of_any_size_give_the_value_of_all_at_once():
    rows, labels = examples()
    metric = BundleEntropy(5, 200, amplitude=1.0, **STEP)
    for part in np.split(np.arange(200), [1, 64, 100]):
        metric.update_state(labels[part], rows[part])
    assert partition(metric) == all_at_once(rows, labels)
    assert float(metric.result()) == all_at_once(rows, labels)[2]


def test_examples_beyond_the_number_asked_for_are_left_out():
    rows, labels = examples()
    metric = BundleEntropy(5, 70, amplitude=1.0, **STEP)
    for part in np.split(np.arange(200), [50, 100]):
        metric.update_state(labels[part], rows[part])
    assert partition(metric) == all_at_once(rows[:70], labels[:70])


def test_reset_forgets_everything():
    rows, labels = examples()
    metric = BundleEntropy(5, 200, amplitude=1.0, **STEP)
    metric.update_state(labels, rows * 0)
    metric.reset_state()
    assert np.isnan(metric.result())
    metric.update_state(labels[:9], rows[:9])
    assert partition(metric) == all_at_once(rows[:9], labels[:9])


def test_replicas_are_put_together_before_comparing(two_replicas):
    rows, labels = examples(120)
    with two_replicas.scope():
        metric = BundleEntropy(5, 60, amplitude=1.0, **STEP)

    @tf.function
    def update(index):
        def part(rows, labels):
            replica = tf.distribute.get_replica_context()
            start = replica.replica_id_in_sync_group * 60 + index * 30
            metric.update_state(
                labels[start : start + 30], rows[start : start + 30]
            )

        two_replicas.run(part, (tf.constant(rows), tf.constant(labels)))

    update(tf.constant(0))
    update(tf.constant(1))
    assert partition(metric) == all_at_once(rows, labels)


def test_updates_between_replicas_are_refused(two_replicas):
    rows, labels = examples(4)
    with two_replicas.scope():
        metric = BundleEntropy(5, 4, amplitude=1.0, **STEP)
        with pytest.raises(InputError, match="inside `strategy.run`"):
            metric.update_state(labels, rows)


def test_evaluate_reports_it_under_a_strategy(two_replicas):
    rows, labels = examples(64)
    with two_replicas.scope():
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Identity()(inputs))
        model.compile(
            loss=lambda y_true, y_pred: y_pred[:, 0],
            metrics=[BundleEntropy(5, 64, amplitude=1.0, **STEP)],
        )
    dataset = tf.data.Dataset.from_tensor_slices((rows, labels)).batch(16)
    logs = model.evaluate(dataset, return_dict=True, verbose=0)
    assert logs["bundle_entropy"] == all_at_once(rows, labels)[2]


def test_activations_that_are_not_finite_make_it_nan():
    rows, labels = examples(20)
    rows[3] = np.inf
    metric = BundleEntropy(5, 20, amplitude=1.0, **STEP)
    metric.update_state(labels, rows)
    assert np.isnan(metric.result())


def test_amplitude_is_read_from_the_consuming_layer_or_the_model():
    rows, labels = examples()
    inputs = keras.Input((4,))
    layer = keras.layers.Dense(3)
    model = keras.Model(
        inputs, layer(keras.layers.BatchNormalization()(inputs))
    )
    layer.kernel.assign(np.full((4, 3), -(2.0**-21)))
    layer.bias.assign([4.0**12, 0.0, 0.0])
    for source, expected in ((layer, 2.0**-21), (model, 4.0**12)):
        metric = BundleEntropy(5, 200, amplitude=source, **STEP)
        metric.update_state(labels, rows * 1e-7)
        assert partition(metric) == all_at_once(rows * 1e-7, labels, expected)
        assert metric.get_config()["amplitude"] == expected


def test_inactive_weights_have_no_amplitude():
    inputs = keras.Input((4,))
    model = cb.sparsify(
        keras.Model(inputs, keras.layers.Dense(3)(inputs)), sparsity=0.5
    )
    layer = model.layers[-1]
    layer.raw_kernel.assign(np.where(layer.mask.numpy(), 0.25, 7.0))
    for source in (layer, model):
        metric = BundleEntropy(5, 10, amplitude=source, **STEP)
        assert metric.get_config()["amplitude"] == 0.25


def test_it_can_be_saved():
    metric = BundleEntropy(5, 10, amplitude=1.0, epsilon=0.0, **STEP)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert copy.get_config() == metric.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "`num_samples` must be a positive integer"),
        ({"learning_rate": -1.0}, "`learning_rate` must be positive"),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments, message):
    good = {"num_classes": 5, "num_samples": 9, "amplitude": 1.0, **STEP}
    with pytest.raises(InputError, match=message):
        BundleEntropy(**(good | arguments))


def test_labels_out_of_range_are_refused():
    metric = BundleEntropy(5, 9, amplitude=1.0, **STEP)
    with pytest.raises(InputError, match="label 5"):
        metric.update_state(np.array([0, 5]), np.zeros((2, 3), np.float32))
