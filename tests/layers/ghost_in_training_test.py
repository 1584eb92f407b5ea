"""Ghost batch normalization in `fit`, in files and on replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from keras.src import testing

from cb.errors import InputError
from cb.layers import GhostBatchNormalization
from tests.layers.ghost_data import data
from tests.layers.ghost_data import made
from tests.layers.ghost_data import reference
from tests.layers.ghost_data import small_network


@pytest.fixture(params=[False, True])
def jit_compile(request, xla):
    """Whether `fit` compiles by XLA."""
    return request.param


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_statistics_in_float32(dtype):
    half, full = made(4, dtype=dtype), made(4)
    x = data(8, 5).astype("float16")
    outputs = half(x, training=True)
    assert outputs.dtype == dtype.removeprefix("mixed_")
    assert half.moving_mean.dtype == "float32"
    if dtype == "mixed_float16":
        full(x.astype("float32"), training=True)
        np.testing.assert_allclose(
            half.moving_variance, full.moving_variance, rtol=1e-6
        )


@pytest.mark.parametrize("remainder", ["fixed", "torch_chunk", "drop"])
def test_fit_takes_a_partial_last_batch(remainder, jit_compile):
    model = small_network(lambda: made(8, remainder=remainder))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    history = model.fit(
        data(37, 6, 6, 2), data(37, 3), batch_size=16, verbose=0
    )
    assert np.isfinite(history.history["loss"][0])


def test_saved_and_loaded_as_keras_file(tmp_path):
    layer = made(
        4,
        remainder="torch_chunk",
        running_statistics="per_step",
        unbiased_variance=True,
        batch_size=16,
    )
    model = keras.Sequential([keras.Input((5,)), layer])
    model(data(8, 5), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == layer.get_config()
    for x, training in ((data(3, 5), False), (data(9, 5), True)):
        ours = model(x, training=training)
        assert np.array_equal(ours, loaded(x, training=training))


def test_saved_model_serves_any_batch(tmp_path):
    model = keras.Sequential([keras.Input((5,)), made(4)])
    model(data(8, 5), training=True)
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    for length in (1, 7):
        x = data(length, 5)
        np.testing.assert_allclose(loaded.serve(x), model(x), rtol=1e-6)


# Keras's own helper hands `fit` a generator.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
class LayerContractTest(testing.TestCase):
    def test_layer_contract(self):
        for shape, remainder in (((8, 5), "fixed"), ((6, 4, 4, 3), "drop")):
            self.run_layer_test(
                GhostBatchNormalization,
                {"virtual_batch_size": 4, "remainder": remainder},
                call_kwargs={"training": True},
                input_shape=shape,
                expected_output_shape=shape,
                expected_num_trainable_weights=2,
                expected_num_non_trainable_weights=2,
                expected_num_seed_generators=0,
                expected_num_losses=0,
                supports_masking=True,
            )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"virtual_batch_size": 0}, "virtual_batch_size=0"),
        ({"virtual_batch_size": 2.5}, "virtual_batch_size=2.5"),
        ({"batch_size": -1}, "batch_size=-1"),
        ({"remainder": "fixd"}, "Did you mean 'fixed'"),
        ({"running_statistics": "x"}, "must be one of .*per_ghost"),
        ({"synchronized": True}, "nothing to synchronize"),
        ({"renorm": True}, "renorm=True"),
    ],
)
def test_wrong_argument_is_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message):
        GhostBatchNormalization(**arguments)


def test_batch_axis_is_refused():
    with pytest.raises(InputError, match="axis=0"):
        made(axis=0).build((8, 5))


def test_replicas_cut_their_own_ghosts_and_share_running_statistics(
    two_replicas,
):
    x = data(16, 5)
    with two_replicas.scope():
        layer = made(4)
        layer.build((None, 5))
    parts = two_replicas.experimental_distribute_values_from_function(
        lambda context: tf.constant(
            np.split(x, 2)[context.replica_id_in_sync_group]
        )
    )

    @tf.function
    def step(values):
        return two_replicas.run(
            lambda part: layer(part, training=True), args=(values,)
        )

    outputs = two_replicas.experimental_local_results(step(parts))
    expected = [
        reference(part.astype("float64"), [4, 4], 1, 0, [1, 1])
        for part in np.split(x, 2)
    ]
    np.testing.assert_allclose(
        ops.concatenate(outputs),
        np.concatenate([outputs for outputs, _, _ in expected]),
        atol=1e-5,
    )
    for variable, place in (
        (layer.moving_mean, 1),
        (layer.moving_variance, 2),
    ):
        mean = np.mean([values[place] for values in expected], axis=0)
        copies = variable.value.values
        assert len(copies) == 2
        for copy in copies:
            np.testing.assert_allclose(copy.numpy(), mean, rtol=1e-5)


def test_a_replica_without_examples_is_trained(two_replicas):
    """Of 17 examples, the last batch has one, for the first replica."""
    with two_replicas.scope():
        layers = [keras.layers.Dense(5), made(4, remainder="drop")]
        model = keras.Sequential([keras.Input((3,)), *layers])
        model.compile("sgd", "mse")
    model.fit(data(17, 3), data(17, 5), batch_size=16, verbose=0)
    for variable in model.variables:
        assert all(
            np.isfinite(one.numpy()).all() for one in variable.value.values
        )


def test_fit_on_two_replicas(two_replicas):
    with two_replicas.scope():
        model = small_network(lambda: made(4, remainder="drop"))
        model.compile("sgd", "mse")
    model.fit(data(30, 6, 6, 2), data(30, 3), batch_size=16, verbose=0)
    for variable in model.non_trainable_variables:
        first, second = variable.value.values
        assert np.array_equal(first.numpy(), second.numpy())
        assert np.isfinite(first.numpy()).all()


def test_error_stops_fit_at_a_batch_that_does_not_divide(jit_compile):
    model = small_network(lambda: made(4, remainder="error"))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="virtual_batch_size.4"
    ):
        model.fit(data(10, 6, 6, 2), data(10, 3), batch_size=8, verbose=0)
