"""A mask holds for every layer that reads the kernel, or is refused."""

import keras
import numpy as np
import pytest

import cb
from cb.errors import InputError
from cb.layers.masked import masked_kernels

X = np.random.default_rng(0).normal(size=(6, 8)).astype("float32")


@keras.saving.register_keras_serializable("test")
class Transposed(keras.layers.Layer):
    """The decoder of a tied autoencoder."""

    def __init__(self, dense, **kwargs):
        super().__init__(**kwargs)
        self.dense = dense

    def call(self, inputs):
        return keras.ops.matmul(inputs, keras.ops.transpose(self.dense.kernel))

    def get_config(self):
        dense = keras.saving.serialize_keras_object(self.dense)
        return {**super().get_config(), "dense": dense}

    @classmethod
    def from_config(cls, config):
        dense = keras.saving.deserialize_keras_object(config["dense"])
        return cls(dense, name=config["name"])


@keras.saving.register_keras_serializable("test")
class Mirrored(keras.layers.Layer):
    """The decoder of an autoencoder of several layers."""

    def __init__(self, layers, **kwargs):
        super().__init__(**kwargs)
        self.stack = {"layers": layers}

    def call(self, inputs):
        for layer in reversed(self.stack["layers"]):
            kernel = keras.ops.transpose(layer.kernel)
            inputs = keras.ops.matmul(inputs, kernel)
        return inputs

    def get_config(self):
        layers = self.stack["layers"]
        layers = [keras.saving.serialize_keras_object(it) for it in layers]
        return {**super().get_config(), "layers": layers}

    @classmethod
    def from_config(cls, config):
        made = map(keras.saving.deserialize_keras_object, config["layers"])
        return cls([*made], name=config["name"])


class Holding(keras.layers.Layer):
    """A layer that takes the variable of another one."""

    def __init__(self, other=None, **kwargs):
        super().__init__(**kwargs)
        vars(self)["other"] = other

    def build(self, input_shape):
        self.kernel = self.other.kernel

    def call(self, inputs):
        return keras.ops.matmul(inputs, keras.ops.transpose(self.kernel))

    def get_config(self):
        return {"name": self.name}


def encoder():
    inputs = keras.Input((8,))
    layer = keras.layers.Dense(4, use_bias=False, name="encoder")
    return inputs, layer, layer(inputs)


def test_a_decoder_that_holds_the_encoder_obeys_its_mask():
    inputs, layer, hidden = encoder()
    model = keras.Model(inputs, Transposed(layer, name="decoder")(hidden))
    np.testing.assert_array_equal(cb.sparsify(model, 0.0)(X), model(X))
    sparse = cb.sparsify(model, 0.5)
    (kernel,) = masked_kernels(sparse)
    active = np.asarray(kernel.weight) * np.asarray(kernel.mask)
    expected = X @ active @ active.T
    for found in (sparse, cb.strip(sparse)):
        np.testing.assert_allclose(found(X), expected, atol=1e-5)
        assert len(found.trainable_weights) == 1
    sparse.compile("sgd", "mse")
    callback = cb.callbacks.Reallocation("set(every=1)")
    sparse.fit(X, X, epochs=2, verbose=0, callbacks=[callback])
    assert not np.asarray(kernel.weight)[np.asarray(kernel.mask) == 0].any()


def test_a_decoder_that_holds_a_list_of_layers_obeys_their_masks():
    inputs = keras.Input((8,))
    stack = [keras.layers.Dense(n, use_bias=False) for n in (6, 4)]
    hidden = stack[1](stack[0](inputs))
    model = keras.Model(inputs, Mirrored(stack)(hidden))
    np.testing.assert_array_equal(cb.sparsify(model, 0.0)(X), model(X))
    sparse = cb.sparsify(model, 0.5)
    kernels = masked_kernels(sparse)
    first, second = (
        np.asarray(it.weight) * np.asarray(it.mask) for it in kernels
    )
    expected = X @ first @ second @ second.T @ first.T
    for found in (sparse, cb.strip(sparse)):
        np.testing.assert_allclose(found(X), expected, atol=1e-5)
        assert len(found.trainable_weights) == 2


def reading_models():
    inputs, layer, hidden = encoder()
    product = keras.ops.matmul(inputs, layer.kernel)
    added = keras.layers.Add(name="added")([hidden, product])
    yield keras.Model(inputs, keras.layers.Dense(3)(added)), "encoder", "matmul"
    inputs, layer, hidden = encoder()
    held = Holding(layer, name="decoder")(hidden)
    yield keras.Model(inputs, keras.layers.Dense(3)(held)), "encoder", "decoder"
    inputs = keras.Input((8, 8, 3))
    inner = keras.layers.Conv2D(2, 3, name="inner")
    outer = keras.layers.SpectralNormalization(inner, name="outer")
    x = keras.layers.Flatten()(outer(inputs))
    yield keras.Model(inputs, keras.layers.Dense(3)(x)), "inner", "outer"


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("convert", [cb.sparsify, cb.sparsify_layers])
def test_others_that_read_a_kernel_are_refused_by_name(number, convert):
    model, owner, reader = [*reading_models()][number]
    before = [np.array(one) for one in model.get_weights()]
    with pytest.raises(InputError) as raised:
        convert(model, 0.5)
    assert f"'{owner}'" in str(raised.value)
    assert f"'{reader}" in str(raised.value)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("number", [0, 2])
def test_a_copy_reads_its_own_kernel(number):
    model, owner, reader = [*reading_models()][number]
    pattern = {0: owner, 2: reader}[number]
    copy = cb.sparsify(model, 0.5, exclude=pattern)
    x = np.ones((2, *model.input_shape[1:]), "float32")
    copy.layers[-1].mask.assign(np.ones(copy.layers[-1].mask.shape))
    expected = np.array(model(x))
    np.testing.assert_allclose(copy(x), expected, rtol=1e-5)
    for variable in model.trainable_variables:
        variable.assign(keras.ops.zeros_like(variable))
    np.testing.assert_allclose(copy(x), expected, rtol=1e-5)
    np.testing.assert_allclose(cb.strip(copy)(x), expected, rtol=1e-5)


def held(kind):
    """Return a tied autoencoder whose decoder is a function, not a layer."""
    inputs, layer, codes = encoder()

    def decode(codes):
        return keras.ops.matmul(codes, keras.ops.transpose(layer.kernel))

    class Decoder(keras.layers.Layer):
        def call(self, inputs):
            return decode(inputs)

    decoder = {
        "lambda": lambda: keras.layers.Lambda(decode),
        "shaped": lambda: keras.layers.Lambda(decode, output_shape=(8,)),
        "activation": lambda: keras.layers.Activation(decode),
        "own": Decoder,
    }[kind]()
    return keras.Model(inputs, decoder(codes)), decoder


@pytest.mark.parametrize("kind", ["lambda", "shaped", "activation", "own"])
def test_functions_that_read_a_kernel_from_outside_are_refused(kind):
    model, decoder = held(kind)
    match = f"'{decoder.name}'.*reads 'encoder/kernel'.*'encoder' as an attr"
    if kind == "activation":
        # Keras has no configuration of such a function.
        match = f"'{decoder.name}'"
    with pytest.raises(InputError, match=match):
        cb.sparsify(model, 0.5)


def test_functions_that_read_nothing_are_kept():
    inputs, _, codes = encoder()
    scale = np.float32(3.0)
    outputs = keras.layers.Lambda(lambda x: scale * x)(codes)
    model = keras.Model(inputs, outputs)
    sparse = cb.sparsify(model, 0.0)
    np.testing.assert_array_equal(sparse(X), model(X))
    np.testing.assert_array_equal(cb.strip(sparse)(X), model(X))


def test_functions_are_looked_at_on_two_replicas_too(two_replicas):
    with two_replicas.scope():
        model, _ = held("lambda")
        with pytest.raises(InputError, match="reads 'encoder/kernel'"):
            cb.sparsify(model, 0.5)
        inputs, _, codes = encoder()
        outputs = keras.layers.Lambda(lambda x: 2 * x)(codes)
        sparse = cb.sparsify(keras.Model(inputs, outputs), 0.5)
        assert len(masked_kernels(sparse)) == 1


class Eager(keras.layers.Layer):
    """Can only be called on arrays."""

    def call(self, inputs):
        return inputs * float(np.asarray(inputs).max())

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def test_layers_that_cannot_be_traced_are_copied():
    inputs, _, codes = encoder()
    model = keras.Model(inputs, Eager()(codes))
    np.testing.assert_array_equal(cb.sparsify(model, 0.0)(X), model(X))
