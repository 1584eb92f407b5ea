"""To layers on CSR kernels and back, with nothing lost."""

import keras
import numpy as np
import pytest

import cb
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import masked_kernels


def build(sparsity=0.8, **kwargs):
    """Return a sparse model with a convolution, a branch and a nested one."""
    nested = keras.Sequential(
        [
            keras.Input((18,)),
            keras.layers.Dense(16, name="inner", kernel_regularizer="l2"),
            keras.layers.BatchNormalization(),
        ]
    )
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(2, 2, activation="relu", name="conv")(inputs)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Add()(
        [keras.layers.Dense(16, "relu", name="wide")(x), nested(x)]
    )
    outputs = keras.layers.Dense(3, use_bias=False, name="small")(x)
    return cb.sparsify(
        keras.Model(inputs, outputs), sparsity, "uniform", **kwargs
    )


def every_layer(model, **kwargs):
    return cb.to_csr(model, max_density=1.0, min_size=1, **kwargs)


def examples(number=9):
    random = np.random.default_rng(0)
    return random.normal(size=(number, 4, 4, 2)).astype("float32")


def test_chooses_layers_that_are_large_and_sparse_and_says_why_not():
    reports = []
    model = build({"conv": 0.5, "wide": 0.9, "inner": 0.8, "small": 0.9})
    sparse = cb.to_csr(model, 0.11, 60, reports.append)
    assert reports == [
        {
            "conv": "only 16 weights",
            "wide": "",
            "inner": "density 0.201",
            "small": "only 48 weights",
        }
    ]
    kinds = {
        kernel.name: type(kernel.layer) for kernel in masked_kernels(sparse)
    }
    assert kinds["wide"] is cb.layers.SparseDense
    assert kinds["inner"] is kinds["small"] is cb.layers.MaskedDense
    assert kinds["conv"] is cb.layers.MaskedConv2D


def test_kinds_of_layers_have_limits_of_their_own():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, 4, 32)),
            layers.Conv2D(32, 3, name="around"),
            layers.Conv2D(256, 1, name="point"),
            layers.Conv2D(128, 1, name="sparser"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(128, name="dense"),
        ]
    )
    sparsities = {"around": 0.7, "point": 0.8, "sparser": 0.92, "dense": 0.96}
    reports = []
    cb.to_csr(cb.sparsify(model, sparsities), report=reports.append)
    assert reports == [
        {
            "around": "",
            "point": "density 0.200",
            "sparser": "",
            "dense": "only 16,384 weights",
        }
    ]


def test_outputs_keys_and_masks_stay():
    model = build()
    sparse = every_layer(model)
    np.testing.assert_allclose(
        sparse(examples()), model(examples()), rtol=1e-5, atol=1e-6
    )
    for old, new in zip(
        masked_kernels(model), masked_kernels(sparse), strict=True
    ):
        assert (old.key, old.name, old.block) == (new.key, new.name, new.block)
        mask = read(old.mask)
        np.testing.assert_array_equal(read(new.mask), mask)
        np.testing.assert_array_equal(
            read(new.weight)[mask != 0], read(old.weight)[mask != 0]
        )


def test_back_again_and_stripped_are_the_same_to_the_bit():
    model = build()
    back = cb.to_masked(every_layer(model))
    for old, new in zip(
        masked_kernels(model), masked_kernels(back), strict=True
    ):
        assert type(old.layer) is type(new.layer)
        assert old.layer.get_config() == new.layer.get_config()
    np.testing.assert_array_equal(back(examples()), model(examples()))
    for old, new in zip(
        cb.strip(model).weights,
        cb.strip(every_layer(model)).weights,
        strict=True,
    ):
        np.testing.assert_array_equal(old, new)


def test_a_masked_model_is_its_own_masked_form():
    model = build()
    assert cb.to_masked(model) is model


def test_costs_are_those_of_the_masked_form():
    model = build()
    assert cb.costs.costs(every_layer(model)) == cb.costs.costs(model)


def test_costs_follow_the_weights():
    # The convolution stays masked.
    sparse = cb.to_csr(build(), max_density=1.0, min_size=17)
    counter = cb.costs.Counter(sparse)
    before = counter.costs()
    layer = sparse.get_layer("wide")
    layer.fill(np.ones(layer.kernel_shape), read(layer.mask)[::-1] != 0)
    assert counter.costs() == before
    mask = sparse.get_layer("conv").mask
    mask.assign(np.cumsum(read(mask)).reshape(mask.shape) % 2 * read(mask))
    assert counter.costs() == cb.costs.costs(sparse) != before


def test_a_layer_without_active_weights_stays_masked():
    model = build()
    mask = model.get_layer("wide").mask
    mask.assign(np.zeros(mask.shape))
    reports = []
    sparse = every_layer(model, report=reports.append)
    assert reports[0]["wide"] == "no active weights"
    np.testing.assert_allclose(
        sparse(examples()), model(examples()), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_exports_what_the_masked_form_does(tmp_path, form):
    model = build()
    for name, one in (("masked", model), ("csr", every_layer(model))):
        cb.export.save(one, str(tmp_path / name), form, [2])
    loaded = [
        cb.export.load(str(tmp_path / name), [2]) for name in ("masked", "csr")
    ]
    x = examples(2)
    np.testing.assert_allclose(loaded[0](x), loaded[1](x), rtol=1e-6)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"dtype": "mixed_bfloat16"}, "dtype mixed_bfloat16"),
        ({"kernel_constraint": "max_norm"}, "a kernel constraint"),
        (
            {"kernel_regularizer": "orthogonal_regularizer"},
            "regularizer OrthogonalRegularizer",
        ),
    ],
)
def test_a_layer_without_a_form_on_csr_kernels_is_refused(change, reason):
    model = keras.Sequential(
        [keras.Input((9,)), keras.layers.Dense(9, name="layer", **change)]
    )
    with pytest.raises(InputError, match=f"layer: {reason}"):
        every_layer(cb.sparsify(model, 0.5))


def test_other_granularities_and_wrapped_layers_stay_masked():
    model = cb.sparsify(
        keras.Sequential(
            [
                keras.Input((4, 6)),
                keras.layers.TimeDistributed(keras.layers.Dense(6)),
            ]
        ),
        0.5,
    )
    with pytest.raises(InputError, match="inside another layer"):
        every_layer(model)
    with pytest.raises(InputError, match="granularity 'row'"):
        every_layer(build(include=["wide"], granularity="row"))


@pytest.mark.parametrize(
    "arguments", [{"max_density": 0.0}, {"max_density": 1.1}, {"min_size": 0}]
)
def test_thresholds_out_of_range_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        cb.to_csr(build(), **arguments)


def test_a_dense_model_is_refused():
    model = keras.Sequential([keras.Input((9,)), keras.layers.Dense(9)])
    with pytest.raises(InputError, match="no masked layers"):
        cb.to_csr(model)
