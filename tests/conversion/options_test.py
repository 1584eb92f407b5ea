"""Sparsity maps, granularities, layers kept dense, regularization, report."""

import keras
import numpy as np
import pytest

import cb
from cb.conversion import parse_sparsity
from cb.errors import InputError
from cb.layers.masked import masked_kernels


def network():
    return keras.Sequential(
        [
            keras.Input((9, 9, 4)),
            keras.layers.Conv2D(8, 3, name="stem"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.SeparableConv2D(8, 3, name="separable"),
            keras.layers.Conv2D(12, 1, name="point"),
            keras.layers.Flatten(),
            keras.layers.Dense(16, name="hidden"),
            keras.layers.Dense(4, name="head"),
        ]
    )


def active(model):
    return {
        kernel.name: int(np.count_nonzero(kernel.mask))
        for kernel in masked_kernels(model)
    }


def test_a_map_gives_each_kind_its_sparsity():
    sparse = cb.sparsify(network(), {"conv": 0.5, "dense": 0.75})
    assert active(sparse) == {
        "stem": 144,
        "separable/depthwise_kernel": 36,
        "separable/pointwise_kernel": 32,
        "point": 48,
        "hidden": 1200,
        "head": 16,
    }


def test_the_first_pattern_that_matches_holds():
    sparse = cb.sparsify(network(), "stem=0.25,Conv2D=0.5,*pointwise*=0")
    assert active(sparse) == {
        "stem": 216,
        "separable/depthwise_kernel": 72 // 2 * 2,
        "separable/pointwise_kernel": 64,
        "point": 48,
    }
    assert type(sparse.get_layer("head")) is keras.layers.Dense


@pytest.mark.parametrize(
    "sparsity", ["stme=0.5", "conv=1.5", "conv=x", "0.5=", "=", "none", {}]
)
def test_bad_maps_are_refused(sparsity):
    with pytest.raises(InputError):
        cb.sparsify(network(), sparsity)


def test_a_sparsity_may_be_text():
    assert parse_sparsity("0.9") == 0.9
    assert parse_sparsity("a*=0.5, b=0.25") == {"a*": 0.5, "b": 0.25}


def test_first_and_last_layer_stay_dense_on_request():
    sparse = cb.sparsify(network(), 0.5, first_dense=True, last_dense=True)
    assert "stem" not in active(sparse)
    assert "head" not in active(sparse)
    assert "hidden" in active(sparse)


def test_what_a_model_keeps_dense_can_be_overridden():
    model = network()
    model.always_dense = ("stem", "head")
    assert "stem" not in active(cb.sparsify(model, 0.5))
    assert "stem" in active(cb.sparsify(model, 0.5, include="*"))
    excluded = active(cb.sparsify(model, 0.5, exclude="hidden"))
    assert "stem" in excluded
    assert "hidden" not in excluded
    assert "head" in active(cb.sparsify(model, 0.5, exclude=()))


@pytest.mark.parametrize(
    "rounding,expected",
    [("down", 29), ("up", 29), ("nearest", 29), ("total", 29)],
)
def test_rounding_of_a_whole_product_is_exact(rounding, expected):
    model = keras.Sequential([keras.Input((29,)), keras.layers.Dense(10)])
    sparse = cb.sparsify(model, 0.9, "uniform", rounding=rounding)
    assert list(active(sparse).values()) == [expected]


@pytest.mark.parametrize(
    "rounding,expected", [("down", 2), ("up", 3), ("nearest", 2)]
)
def test_rounding_of_a_share_of_two_and_a_half(rounding, expected):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    sparse = cb.sparsify(model, 0.5, "uniform", rounding=rounding)
    assert list(active(sparse).values()) == [expected]


def test_unknown_rounding_is_refused():
    with pytest.raises(InputError, match="Unknown rounding"):
        cb.sparsify(network(), 0.5, rounding="dwon")


@pytest.mark.parametrize(
    "granularity,axes",
    [("row", (1,)), ("slice", (0, 1)), ("filter", (0, 1, 2))],
)
def test_masks_are_constant_in_a_cell(granularity, axes):
    sparse = cb.sparsify(network(), 0.5, granularity=granularity)
    mask = np.asarray(sparse.get_layer("stem").mask)
    first = mask.min(axis=axes, keepdims=True)
    np.testing.assert_array_equal(mask, np.broadcast_to(first, mask.shape))
    assert 0 < np.count_nonzero(mask) < mask.size
    assert sparse.get_layer("stem").granularity == granularity
    dense = np.asarray(sparse.get_layer("hidden").mask)
    assert 0.3 < dense.mean() < 0.7


def test_slices_are_counted_in_cells():
    sparse = cb.sparsify(
        network(), {"stem": 0.3}, granularity="slice", rounding="down"
    )
    assert active(sparse) == {"stem": 9 * 22}


def test_blocks_may_be_cut_at_the_edge():
    sparse = cb.sparsify(network(), 0.5, granularity="block(3, 5)")
    mask = np.asarray(sparse.get_layer("hidden").mask)
    block = mask[3:6, 5:10]
    assert block.min() == block.max()
    edge = mask[:3, 15:]
    assert edge.min() == edge.max()


@pytest.mark.parametrize("axis", [-2, -1])
def test_n_by_m_masks_have_n_of_every_m(axis):
    spec = f"n_by_m(n=1, m=4, axis={axis})"
    sparse = cb.sparsify(network(), 0.75, granularity=spec)
    for kernel in masked_kernels(sparse):
        moved = np.moveaxis(np.asarray(kernel.mask), axis, -1)
        if kernel.name != "separable/depthwise_kernel" or axis == -2:
            groups = moved.reshape(-1, 4).sum(axis=1)
            np.testing.assert_array_equal(groups, 1)


def test_n_by_m_needs_its_own_sparsity_and_a_layer_that_fits():
    with pytest.raises(InputError, match="must be 0.5"):
        cb.sparsify(network(), 0.9, granularity="n_by_m")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    with pytest.raises(InputError, match="no groups of 4"):
        cb.sparsify(model, 0.5, granularity="n_by_m")


def test_granularity_survives_saving_and_goes_with_strip(tmp_path):
    sparse = cb.sparsify(network(), 0.5, granularity="slice")
    sparse.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("point").granularity == "slice"
    assert "granularity" not in cb.strip(loaded).get_layer("point").get_config()


def test_regularization_is_of_active_weights():
    sparse = cb.sparsify(network(), 0.5, regularization="l1(0.25)")
    expected = 0.25 * sum(
        np.abs(np.asarray(kernel.weight))[np.asarray(kernel.mask) != 0].sum()
        for kernel in masked_kernels(sparse)
    )
    np.testing.assert_allclose(sum(sparse.losses), expected, rtol=1e-5)


def test_group_lasso_sums_the_lengths_of_slices(tmp_path):
    sparse = cb.sparsify(
        network(), {"stem": 0.5}, regularization="group_lasso(0.5)"
    )
    layer = sparse.get_layer("stem")
    kernel = np.asarray(layer.kernel)
    lengths = np.sqrt((kernel**2).sum(axis=(0, 1)) + 1e-12)
    np.testing.assert_allclose(
        float(sparse.losses[0]), 0.5 * lengths.sum(), rtol=1e-5
    )
    sparse.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.losses, sparse.losses)


def test_an_unknown_regularizer_is_refused():
    with pytest.raises(InputError, match="Unknown regularization"):
        cb.sparsify(network(), 0.5, regularization="l3(1e-5)")


def test_rescaled_weights_keep_the_variance():
    model = network()
    sparse = cb.sparsify(model, 0.75, "uniform", rescale_weights=True)
    kernel = np.asarray(sparse.get_layer("hidden").raw_kernel)
    np.testing.assert_allclose(
        kernel, 2.0 * np.asarray(model.get_layer("hidden").kernel), rtol=1e-6
    )


def test_the_report_says_what_became_what_and_why():
    reports = []
    model = network()
    model.always_dense = ("head",)
    cb.sparsify(model, 0.5, "uniform", report=reports.append)
    rows = {row.name: row for row in reports[0].rows}
    assert rows["stem"].active == 144
    assert rows["norm"].reason == "no kernel"
    assert rows["head"].reason == "the model keeps it dense"
    text = str(reports[0])
    total = sum(row.weights for row in reports[0].masked)
    assert f"{total:,}" in text.splitlines()[-1]
    assert "dense: no kernel" in text


def test_a_compiled_model_gives_one_without_optimizer():
    model = network()
    model.compile("sgd", "mse")
    sparse = cb.sparsify(model, 0.5)
    assert not sparse.compiled
    assert getattr(sparse, "optimizer", None) is None
    assert model.compiled
