"""Masked kinds of layers that are defined outside of the package."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.errors import InputError
from cb.layers.masked import masked_kernels
from tests.commands import ROOT
from tests.commands import run_code


def worked_example():
    """Return the layer class that CONTRIBUTING.md shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("\n## Adding a masked layer kind\n")[2]
    module = {"__name__": "worked_example"}
    exec(section.partition("```python\n")[2].partition("```")[0], module)
    return module["Mixing"]


Mixing = worked_example()


@keras.saving.register_keras_serializable("test")
class Widening(keras.layers.Conv1DTranspose):
    """A user's subclass of a layer that has a masked class."""

    def call(self, inputs):
        return 2.0 * super().call(inputs)


class Autoregressive(keras.layers.Dense):
    """Has a mask of its own, as MADE has."""

    def build(self, input_shape):
        super().build(input_shape)
        self.mask = np.tril(np.ones(self.kernel.shape, "float32"))

    def call(self, inputs):
        return inputs @ (self.kernel * self.mask)


class Scaled(keras.layers.Dense):
    """Reads its kernel when it is built."""

    def build(self, input_shape):
        super().build(input_shape)
        self.scale = self.add_weight(shape=self.kernel.shape[-1:])

    def call(self, inputs):
        return self.scale * super().call(inputs)


@cb.layers.maskable("kernel", family="dense")
class OfTwo(keras.layers.Layer):
    """Is built with the shapes of its arguments."""

    def build(self, a_shape, b_shape):
        self.kernel = self.add_weight(shape=(a_shape[-1], b_shape[-1]))

    def call(self, a, b):
        return a @ self.kernel + b


def test_a_mask_of_a_layer_itself_is_left_alone():
    model = keras.Sequential(
        [keras.Input((4,)), Autoregressive(4), keras.layers.Dense(3)]
    )
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    expected = np.array(model(x))
    report = []
    sparse = cb.sparsify(model, 0.0, report=report.append)
    np.testing.assert_allclose(sparse(x), expected, rtol=1e-6)
    (kernel,) = masked_kernels(sparse)
    assert kernel.layer is sparse.layers[1]
    assert "has an attribute `mask` of its own" in str(report[0])


def test_a_kernel_may_be_read_while_a_layer_is_built():
    model = keras.Sequential([keras.Input((4,)), Scaled(3)])
    x = np.ones((2, 4), "float32")
    sparse = cb.sparsify(model, 0.0)
    np.testing.assert_allclose(sparse(x), model(x), rtol=1e-6)
    assert sparse.layers[0].scale.shape == (3,)


def test_a_layer_of_several_shapes_is_masked():
    a, b = keras.Input((4,)), keras.Input((3,))
    model = keras.Model([a, b], OfTwo()(a, b))
    sparse = cb.sparsify(model, 0.5)
    (kernel,) = masked_kernels(sparse)
    assert np.array(kernel.mask).sum() == 6


def test_a_class_without_regularizers_cannot_be_given_one():
    a, b = keras.Input((4,)), keras.Input((3,))
    dense = keras.layers.Dense(3)
    model = keras.Model([a, b], dense(OfTwo(name="two")(a, b)))
    with pytest.raises(InputError, match=r"takes no regularizer.*\['two'\]"):
        cb.sparsify(model, 0.5, regularization="l2(0.1)")
    sparse = cb.sparsify(model, 0.5, exclude="two", regularization="l2(0.1)")
    assert len(sparse.losses) == 1


def test_an_attribute_named_operations_makes_no_graph():
    class Mixed(keras.layers.Layer):
        """Chooses among operations."""

        def __init__(self):
            super().__init__()
            self.operations = ["add", "multiply"]
            self.dense = keras.layers.Dense(3)

        def build(self, shape):
            self.dense.build(shape)

        def call(self, inputs):
            return self.dense(inputs)

    model = keras.Sequential([keras.Input((4,)), Mixed()])
    cb.sparsify_layers(model, 0.5)
    assert len(masked_kernels(model)) == 1


@keras.saving.register_keras_serializable("test")
class Registered(keras.layers.Conv1DTranspose):
    """One whose masked class is written out."""


@cb.layers.register_masked(Registered, family="conv", package="test")
class MaskedRegistered(cb.layers.Masked, Registered):
    """`Registered` with a masked kernel."""


# Layer, its weight, the shape of it, products for each example.
KINDS = {
    "own": (lambda: Mixing(5, name="new"), "w", (2, 5), 2 * 5 * 6),
    "registered": (
        lambda: Registered(5, 3, name="new"),
        "kernel",
        (3, 5, 2),
        3 * 5 * 2 * 6,
    ),
    "subclass": (
        lambda: Widening(5, 3, name="new"),
        "kernel",
        (3, 5, 2),
        3 * 5 * 2 * 6,
    ),
}


def dense_model(make):
    inputs = keras.Input((6, 2))
    x = keras.layers.Flatten()(make()(inputs))
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))


def examples():
    return np.random.default_rng(0).normal(size=(8, 6, 2)).astype("float32")


@pytest.fixture(params=sorted(KINDS))
def kind(request):
    return KINDS[request.param]


def sparse_model(kind, **kwargs):
    make, *_ = kind
    return cb.sparsify(dense_model(make), "conv=0.5", **kwargs)


def test_its_family_reaches_it_and_nothing_else(kind):
    make, weight, shape, _ = kind
    reports = []
    model = sparse_model(kind, report=reports.append)
    (kernel,) = masked_kernels(model)
    assert isinstance(model.get_layer("new"), cb.layers.Masked)
    assert isinstance(model.get_layer("new"), type(make()))
    assert kernel.weight_name == weight
    assert tuple(kernel.mask.shape) == shape
    assert np.count_nonzero(kernel.mask) == np.prod(shape) // 2
    rows = {row.name: row.reason for row in reports[0].rows}
    assert rows["head"] == "no sparsity given"


def test_it_computes_what_the_dense_layer_does_with_zeros(kind):
    make, weight, _, _ = kind
    model = dense_model(make)
    sparse = cb.sparsify(model, "conv=0.5")
    (kernel,) = masked_kernels(sparse)
    variable = getattr(model.get_layer("new"), weight)
    np.testing.assert_array_equal(kernel.weight, variable)
    variable.assign(variable * kernel.mask)
    np.testing.assert_array_equal(sparse(examples()), model(examples()))


@pytest.mark.parametrize("algorithm", ["set", "rigl"])
def test_it_trains_is_saved_stripped_counted_and_exported(
    kind, algorithm, tmp_path
):
    make, weight, shape, macs = kind
    # With other weights RigL may grow what it drops, in a kernel of ten.
    keras.utils.set_random_seed(1)
    model = sparse_model(kind, regularization="l2(1e-3)")
    (kernel,) = masked_kernels(model)
    # The penalty is on active weights, with the published half left out.
    active = np.asarray(kernel.weight) * np.asarray(kernel.mask)
    np.testing.assert_allclose(
        sum(model.losses), 1e-3 * np.sum(active**2), rtol=1e-5
    )
    before = np.array(kernel.mask)
    x, y = examples(), np.ones((8, 3), "float32")
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    callback = cb.callbacks.Reallocation(
        f"{algorithm}(every=1, end=1.0)", dataset=dataset
    )
    model.compile("adam", "mse")
    model.fit(x, y, 4, 3, 0, callbacks=[callback], shuffle=False)
    mask = np.asarray(kernel.mask)
    assert (mask != before).any()
    assert np.count_nonzero(mask) == np.count_nonzero(before)
    assert not np.asarray(kernel.weight)[mask == 0].any()
    outputs = np.asarray(model(x))

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), outputs)

    plain = cb.strip(model)
    assert type(plain.get_layer("new")) is type(make())
    np.testing.assert_array_equal(plain(x), outputs)
    np.testing.assert_array_equal(
        np.asarray(getattr(plain.get_layer("new"), weight)) != 0, mask != 0
    )

    costs = cb.costs.costs(model)
    (row,) = [row for row in costs.layers if row.name == "new"]
    assert row.weights.kernels - row.weights.nonzero == np.prod(shape) // 2
    assert row.dense_macs == macs
    assert row.macs == macs // 2

    for form in ("dense", "compact", "sparse"):
        cb.export.save(model, str(tmp_path / form), form=form)
        served = tf.saved_model.load(str(tmp_path / form))
        (found,) = served.signatures["serving_default"](tf.constant(x)).values()
        np.testing.assert_allclose(found, outputs, atol=1e-5)


def test_it_is_masked_inside_of_a_wrapper():
    inputs = keras.Input((4, 6, 2))
    x = keras.layers.TimeDistributed(Mixing(3, name="inner"))(inputs)
    model = keras.Model(inputs, x)
    sparse = cb.sparsify(model, "conv=0.5")
    (kernel,) = masked_kernels(sparse)
    assert type(kernel.layer).__name__ == "MaskedMixing"
    assert type(cb.strip(sparse).layers[1].layer) is Mixing


def test_a_kind_of_its_own_needs_the_names_of_its_kernels():
    with pytest.raises(cb.errors.InputError, match="names of its kernels"):
        cb.layers.maskable()(keras.layers.PReLU)
    # The family of a subclass is that of its base, and never another.
    with pytest.raises(cb.errors.InputError, match="names of its kernels"):
        cb.layers.maskable(family="mine")(Widening)


@keras.saving.register_keras_serializable("test")
class Gated(keras.layers.Conv2D):
    """A convolution whose kernel is named for `maskable`."""


cb.layers.maskable("kernel")(Gated)


class Pixels(keras.layers.Layer):
    """A convolution of its own kind."""

    def build(self, input_shape):
        self.w = self.add_weight(shape=(3, 3, input_shape[-1], 4), name="w")

    def call(self, inputs):
        return keras.ops.conv(inputs, self.w)

    def get_config(self):
        return {"name": self.name}


def image_model(layer):
    inputs = keras.Input((6, 6, 2))
    return keras.Model(inputs, layer(inputs))


def test_named_kernels_of_a_subclass_have_the_axes_of_its_base():
    layer = Gated(4, 3, name="gated")
    sparse = cb.sparsify(image_model(layer), "conv=0.5", granularity="filter")
    (kernel,) = masked_kernels(sparse)
    assert kernel.block == (3, 3, 2, 1)
    filters = np.asarray(kernel.mask).reshape(-1, 4)
    np.testing.assert_array_equal(filters.min(axis=0), filters.max(axis=0))
    assert filters[0].sum() == 2
    (kernel,) = masked_kernels(
        cb.sparsify(image_model(layer), 0.5, granularity="slice")
    )
    assert kernel.block == (3, 3, 1, 1)


def test_axes_that_are_not_known_are_asked_for():
    cb.layers.maskable("w")(Pixels)
    with pytest.raises(cb.errors.InputError, match="spatial_axes.*'filter'"):
        cb.sparsify(image_model(Pixels()), 0.5, granularity="filter")
    # Neither depends on them.
    for spec in ("weight", "block(rows=2, columns=2)"):
        cb.sparsify(image_model(Pixels()), 0.5, granularity=spec)
    cb.layers.maskable("w", spatial_axes={"w": 2})(Pixels)
    sparse = cb.sparsify(image_model(Pixels()), 0.5, granularity="filter")
    (kernel,) = masked_kernels(sparse)
    assert kernel.block == (3, 3, 2, 1)


def test_a_file_with_a_derived_class_loads_where_its_class_is_maskable(
    tmp_path,
):
    (tmp_path / "mine.py").write_text(
        "import cb, keras\n"
        "@cb.layers.maskable()\n"
        "@keras.saving.register_keras_serializable('mine')\n"
        "class Own(keras.layers.Dense):\n"
        "    pass\n"
    )
    program = (
        "import mine, cb, keras, sys\n"
        "model = keras.Sequential([keras.Input((3,)), mine.Own(4)])\n"
        "if sys.argv[1] == 'save':\n"
        "    cb.sparsify(model, 0.5).save('model.keras')\n"
        "else:\n"
        "    loaded = keras.models.load_model('model.keras')\n"
        "    assert type(loaded.layers[-1]).__name__ == 'MaskedOwn'\n"
    )
    for step in ("save", "load"):
        run_code(program, step, folder=tmp_path)
