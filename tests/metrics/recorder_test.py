"""Bundles at the layers of any model, with the weights that come next."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import cb
from cb.errors import InputError
from cb.metrics import bundle_entropy
from cb.metrics.recorder import Recorder

STEP = {"learning_rate": 1e-3, "batch_size": 64}


def examples(shape=(6,), count=40, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, *shape)).astype(np.float32)
    return x, random.integers(0, 3, count)


def expected(activations, labels, amplitude):
    _, count, entropy = bundle_entropy(
        activations, labels, amplitude=amplitude, num_classes=3, **STEP
    )
    return int(count), pytest.approx(float(entropy), abs=1e-7)


def chain(names=("one", "two", "three"), activation="relu"):
    inputs = x = keras.Input((6,))
    for name in names:
        x = layers.Dense(4, activation=activation, name=name)(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def residual():
    """Two blocks with a projection; names as in the zoo."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    for number, strides in ((1, 1), (2, 2)):
        prefix = f"block_{number}"
        y = layers.Conv2D(4, 3, strides, padding="same", name=f"{prefix}_conv")(
            x
        )
        y = layers.BatchNormalization(name=f"{prefix}_norm")(y)
        if strides == 2:
            x = layers.Conv2D(4, 1, strides, name=f"{prefix}_projection")(x)
        x = layers.ReLU(name=prefix)(layers.Add(name=f"{prefix}_add")([x, y]))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


@keras.saving.register_keras_serializable("test")
class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = chain()
        self.head = layers.Dense(3, name="head")

    def call(self, inputs):
        return self.head(tf.nn.relu(self.inner(inputs)))


def test_all_is_what_kernels_take_but_for_the_data():
    model = chain()
    x, labels = examples()
    recorded = Recorder(model).measure(x, labels, **STEP)
    assert [m.layer for m in recorded] == ["one", "two", "three"]
    for measured, following in zip(
        recorded, ["two", "three", "logits"], strict=True
    ):
        outputs = keras.Model(
            model.inputs[0], model.get_layer(measured.layer).output
        )(x)
        kernel = model.get_layer(following).kernel.numpy()
        assert measured[1:] == expected(outputs, labels, np.abs(kernel).max())


def test_last_is_the_input_of_the_last_kernel():
    x, labels = examples()
    recorder = Recorder(chain(), "last")
    assert recorder.names(x) == ["three"]
    assert [m.layer for m in recorder.measure(x, labels, **STEP)] == ["three"]


def test_the_model_amplitude_is_the_published_one():
    model = chain()
    model.get_layer("one").bias.assign([0.0, -9.0, 0.0, 0.0])
    x, labels = examples()
    (measured,) = Recorder(model, "two", amplitude="model").measure(
        x, labels, **STEP
    )
    outputs = keras.Model(model.inputs[0], model.get_layer("two").output)(x)
    assert measured[1:] == expected(outputs, labels, 9.0)


def test_blocks_of_the_zoo_are_found_by_themselves():
    x, labels = examples((8, 8, 2))
    recorder = Recorder(residual())
    assert recorder.names(x) == ["block_1", "block_2"]
    assert len(recorder.measure(x, labels, **STEP)) == 2


def test_all_kernels_that_come_next_count():
    model = residual()
    x, labels = examples((8, 8, 2))
    projection = model.get_layer("block_2_projection").kernel
    projection.assign(np.full(projection.shape, 5.0))
    measured = Recorder(model, "block_1").measure(x, labels, **STEP)[0]
    outputs = keras.Model(model.inputs[0], model.get_layer("block_1").output)(x)
    assert measured[1:] == expected(outputs, labels, 5.0)


@pytest.mark.parametrize("model", [Subclassed, lambda: nested(chain())])
def test_nested_and_subclassed_models_are_seen_through(model):
    model = model()
    x, labels = examples()
    model(x)
    names = Recorder(model).names(x)
    assert names == ["one", "two", "three", "head_input"]
    assert len(Recorder(model, "t*").measure(x, labels, **STEP)) == 2


def nested(inner):
    inputs = keras.Input((6,))
    x = keras.ops.relu(inner(inputs))
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


def test_a_shared_layer_is_recorded_at_each_call():
    inputs = keras.Input((6,))
    shared = layers.Dense(6, activation="tanh", name="shared")
    x = shared(shared(inputs))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    names = Recorder(model).names(examples()[0])
    assert names == ["shared", "shared/2"]


def test_casts_and_flattening_are_looked_through():
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(2, 3, activation="relu", name="conv")(inputs)
    x = layers.Dropout(0.5, name="dropout")(x)
    x = layers.Flatten(name="flatten", dtype="float16")(x)
    outputs = layers.Dense(3, name="logits")(x)
    recorder = Recorder(keras.Model(inputs, outputs))
    assert recorder.names(examples((6, 6, 1))[0]) == ["flatten"]


def test_a_small_memory_gives_the_same_numbers():
    model = residual()
    x, labels = examples((8, 8, 2))
    whole = Recorder(model).measure(x, labels, **STEP)
    pieces = Recorder(model, memory=7 * 4 * (256 + 64))
    assert pieces.measure(x, labels, **STEP) == whole


def test_recording_leaves_the_model_as_it_was():
    model = residual()
    x, labels = examples((8, 8, 2))
    before = [value.copy() for value in model.get_weights()]
    replaced = model.layers[2].__dict__["call"] = model.layers[2].call
    Recorder(model).measure(x, labels, **STEP)
    assert [layer.__dict__.get("call") for layer in model.layers] == [
        replaced if number == 2 else None for number in range(len(model.layers))
    ]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_are_read_at_every_measurement():
    model = chain()
    x, labels = examples()
    recorder = Recorder(model, "last")
    assert recorder.measure(x, labels, **STEP)[0].bundles > 1
    model.get_layer("two").kernel.assign(np.zeros((4, 4)))
    assert recorder.measure(x, labels, **STEP)[0].bundles == 1


def test_sparse_models_and_strategies_are_recorded_too(two_replicas):
    x, labels = examples()
    with two_replicas.scope():
        model = cb.sparsify(chain(), sparsity=0.5)
    (measured,) = Recorder(model, "two").measure(x, labels, **STEP)
    plain = cb.strip(model)
    (same,) = Recorder(plain, "two").measure(x, labels, **STEP)
    assert measured == same


def test_diverged_layers_have_no_entropy():
    model = chain()
    # The fused ReLU hides it from the activations, not from the weights.
    kernel = model.get_layer("two").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    measured = Recorder(model).measure(*examples(), **STEP)
    assert np.isnan(measured[0].entropy)
    x, labels = examples()
    x[3] = np.nan
    measured = Recorder(chain(activation="tanh")).measure(x, labels, **STEP)
    assert all(np.isnan(m.entropy) for m in measured)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": "conv*"}, "matches no layer.*'one'.*Received: 'conv"),
        ({"amplitude": "largest"}, "Unknown amplitude"),
    ],
)
def test_bad_arguments_are_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        Recorder(chain(), **arguments).names(examples()[0])
    assert "\n" not in str(error.value)


def test_a_model_with_nothing_to_record_is_refused():
    with pytest.raises(InputError, match="has nothing to record"):
        Recorder(chain(names=())).names(examples()[0])
    with pytest.raises(InputError, match="no residual block"):
        Recorder(chain(), "branches").names(examples()[0])


def test_a_model_that_is_not_built_is_refused():
    with pytest.raises(InputError, match="must be built"):
        Recorder(keras.Sequential([layers.Dense(2)]))


def test_branches_are_scaled_by_what_normalization_undoes():
    keras.utils.set_random_seed(0)
    model = cb.models.build("bundle_resnet(blocks=(1, 1, 0, 0))", (8, 8, 2), 3)
    x, labels = examples((8, 8, 2))
    # All examples together, whatever the memory.
    measured = Recorder(model, "branches", memory=1).measure(x, labels, **STEP)
    assert [m.layer for m in measured] == ["block_1", "block_2"]
    for name, consumers, found in zip(
        ("block_1", "block_2"),
        (("block_2_conv_1", "block_2_shortcut"), ("logits",)),
        measured,
        strict=True,
    ):
        first, second, branch = (
            np.asarray(output)
            for output in keras.Model(
                model.inputs[0],
                [
                    model.get_layer(f"{name}_{part}").output
                    for part in ("conv_1", "conv_2", "norm_2")
                ],
            )(x)
        )
        for convolved in (first, second):
            branch = branch / np.sqrt(convolved.var() + 1e-6)
        amplitude = max(
            np.abs(model.get_layer(layer).kernel).max() for layer in consumers
        )
        assert found[1:] == expected(branch, labels, amplitude)


def test_the_active_weights_of_both_separable_kernels_count():
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, name="first")(inputs)
    x = keras.layers.SeparableConv2D(3, 2, name="second")(x)
    model = cb.sparsify(keras.Model(inputs, x), 0.5, include="second")
    layer = model.get_layer("second")
    for kernel in (
        layer.raw("depthwise_kernel"),
        layer.raw("pointwise_kernel"),
    ):
        kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    products = [
        layer.raw(name).numpy() * layer.mask_of(name).numpy()
        for name in ("depthwise_kernel", "pointwise_kernel")
    ]
    x, labels = examples((6, 6, 2))
    (measured,) = Recorder(model).measure(x, labels, **STEP)
    outputs = keras.Model(model.inputs[0], model.get_layer("first").output)(x)
    largest = max(np.abs(product).max() for product in products)
    assert measured == ("first", *expected(outputs, labels, largest))


def test_layers_on_csr_kernels_are_recorded():
    model = cb.sparsify(chain(), 0.5)
    recorded = Recorder(cb.to_csr(model, 1.0, 1))
    x, labels = examples()
    measured = recorded.measure(x, labels, **STEP)
    assert [m.layer for m in measured] == ["one", "two", "three"]
    for one, following in zip(
        measured, ["two", "three", "logits"], strict=True
    ):
        layer = model.get_layer(following)
        kernel = layer.raw_kernel.numpy() * layer.mask.numpy()
        outputs = keras.Model(
            model.inputs[0], model.get_layer(one.layer).output
        )
        assert one[1:] == expected(outputs(x), labels, np.abs(kernel).max())


@pytest.mark.parametrize("kind", ["lstm", "stacked", "bidirectional"])
def test_recurrent_layers_take_their_sequences(kind):
    """Not the first step alone, nor the states before it."""
    inputs = keras.Input((5, 4))
    x = keras.layers.Dense(3, "tanh", name="first")(inputs)
    layer = keras.layers.LSTM(4, name="second")
    if kind == "stacked":
        cells = [keras.layers.GRUCell(4), keras.layers.GRUCell(3)]
        layer = keras.layers.RNN(cells, name="second")
    if kind == "bidirectional":
        layer = keras.layers.Bidirectional(layer, name="second")
    y = layer(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(y))
    x_test, labels = examples((5, 4))
    measured = Recorder(model).measure(x_test, labels, **STEP)
    assert measured[0].layer == "first"
    assert len(measured) == 2
    variables = layer.trainable_variables
    largest = max(np.abs(v).max() for v in variables if len(v.shape) > 1)
    first = keras.Model(inputs, x)(x_test)
    assert measured[0][1:] == expected(first, labels, largest)
    last = np.abs(model.get_layer("last").kernel).max()
    second = keras.Model(inputs, y)(x_test)
    assert measured[1][1:] == expected(second, labels, last)


@pytest.mark.parametrize("layers", [[], "input_*"])
def test_patterns_of_no_call_are_refused(layers):
    x, _ = examples()
    with pytest.raises(InputError, match="nothing to record"):
        Recorder(chain(), layers).names(x)
