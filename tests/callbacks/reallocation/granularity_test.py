"""Cells of weights move as one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import cb
from cb.distribute.variables import read
from cb.errors import InputError
from cb.layers.masked import masked_kernels


def trained(granularity, algorithm):
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 2)),
            keras.layers.Conv2D(24, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    model = cb.sparsify(model, 0.75, granularity=granularity, seed=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    random = np.random.default_rng(0)
    x = random.random((32, 8, 8, 2), np.float32)
    data = tf.data.Dataset.from_tensors((x, random.integers(0, 4, 32)))
    before = {k.key: read(k.mask) for k in masked_kernels(model)}
    model.fit(
        data.repeat(),
        steps_per_epoch=20,
        verbose=0,
        shuffle=False,
        callbacks=[cb.callbacks.Reallocation(algorithm, dataset=data)],
    )
    return model, before


@pytest.mark.parametrize(
    "algorithm",
    [
        "set(every=4, drop_fraction=0.9)",
        "rigl(every=4, drop_fraction=0.9)",
        "dynamic_sparse(every=4, regrow='within', threshold=0.1)",
    ],
)
def test_slices_stay_whole_and_their_number_exact(algorithm):
    model, before = trained("slice", algorithm)
    convolution, _ = masked_kernels(model)
    mask, weights = read(convolution.mask), read(convolution.weight)
    assert set(mask.sum(axis=(0, 1)).ravel()) == {0.0, 9.0}
    assert mask.sum() == before[convolution.key].sum()
    assert not np.array_equal(mask, before[convolution.key])
    np.testing.assert_array_equal(weights[mask == 0], 0.0)


@pytest.mark.parametrize(
    "algorithm",
    [
        "set(every=4)",
        "rigl(every=4)",
        "snfs(every=4)",
        "dynamic_sparse(every=4, threshold=0.1)",
        "constant_fan_in(every=4)",
        "magnitude_pruning(every=4, end=16)",
        "magnitude_pruning(every=4, end=16, scope='global')",
        "top_kast(every=4)",
        "discover_wirings",
        "random",
    ],
)
def test_blocks_of_four_inputs_move_as_one(algorithm):
    model, before = trained("block(rows=4, columns=1)", algorithm)
    moved = False
    active = wanted = 0
    for kernel in masked_kernels(model):
        mask = read(kernel.mask)
        for first in range(0, mask.shape[-2], 4):
            block = mask[..., first : first + 4, :]
            np.testing.assert_array_equal(
                block, np.broadcast_to(block[..., :1, :], block.shape)
            )
        moved |= not np.array_equal(mask, before[kernel.key])
        # All blocks of a kernel are as large here.
        active += mask.sum() / min(mask.shape[-2], 4)
        wanted += before[kernel.key].sum() / min(mask.shape[-2], 4)
        # Those that are not used are not seen in the outputs either.
        effective = np.asarray(kernel.layer.effective(kernel.weight_name))
        np.testing.assert_array_equal(effective[mask == 0], 0.0)
    assert moved
    if "constant_fan_in" not in algorithm:
        assert active == wanted


@pytest.mark.parametrize(
    "granularity, algorithm",
    [
        ("slice", "set(rule='sign')"),
        ("slice", "set(grown='redrawn')"),
        ("n_by_m(n=1, m=2, axis=-1)", "rigl"),
        ("block(rows=4, columns=1)", "deep_rewiring"),
        ("block(rows=4, columns=1)", "snip"),
        ("n_by_m(n=1, m=2, axis=-1)", "snip"),
        ("n_by_m(n=1, m=2, axis=-1)", "random"),
        ("n_by_m(n=1, m=2, axis=-1)", "magnitude_pruning(iterations=1)"),
    ],
)
def test_algorithms_that_would_break_blocks_are_refused(granularity, algorithm):
    with pytest.raises(InputError, match="granularity"):
        trained(granularity, algorithm)


def test_masks_that_break_groups_are_refused():
    dense = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6)])
    model = cb.sparsify(dense, 0.5, granularity="n_by_m(n=2, m=4)")
    model.compile("sgd", "mse")
    (kernel,) = masked_kernels(model)
    x, y = np.ones((4, 8)), np.ones((4, 6))
    callback = cb.callbacks.Reallocation("static")
    model.fit(x, y, verbose=0, callbacks=[callback])
    mask = read(kernel.mask)
    mask[:4, 0] = 1.0
    kernel.mask.assign(mask)
    with pytest.raises(InputError, match="at most 2 active weights of every 4"):
        model.fit(x, y, verbose=0, callbacks=[callback])


def test_a_kernel_that_groups_do_not_fit_stays_dense_beside_one_that_they_do():
    dense = keras.Sequential([keras.Input((5, 8)), keras.layers.LSTM(6)])
    rows = []
    model = cb.sparsify(
        dense,
        0.5,
        granularity="n_by_m(n=2, m=4)",
        report=lambda report: rows.extend(report.rows),
    )
    model.compile("sgd", "mse")
    x, y = np.ones((4, 5, 8)), np.ones((4, 6))
    callback = cb.callbacks.Reallocation("static")
    model.fit(x, y, verbose=0, callbacks=[callback])
    fitting, other = masked_kernels(model)
    assert [row.key for row in rows] == [fitting.key, ""]
    assert [row.active for row in rows] == [8 * 24 // 2, 6 * 24]
    assert rows[1].name == other.name
    assert rows[1].reason == "(6, 24) has no groups of 4"
    assert read(fitting.mask).sum() == rows[0].active
    assert read(other.mask).all()
    other.mask.assign(np.zeros(other.mask.shape))
    with pytest.raises(InputError, match="at most 2 active weights of every 4"):
        model.fit(x, y, verbose=0, callbacks=[callback])


def test_changes_count_the_weights_of_blocks():
    changes = []
    dense = keras.Sequential([keras.Input((10,)), keras.layers.Dense(38)])
    model = cb.sparsify(dense, 0.5, granularity="block(rows=4, columns=4)")
    model.compile("sgd", "mse")
    (kernel,) = masked_kernels(model)
    before = read(kernel.mask)
    callback = cb.callbacks.Reallocation(
        "set(every=2, end=3, drop_fraction=0.9)",
        on_event=lambda step, found: changes.extend(found),
    )
    x, y = np.ones((16, 10)), np.ones((16, 38))
    model.fit(x, y, 4, verbose=0, callbacks=[callback])
    (change,), mask = changes, read(kernel.mask)
    # Those at the edges are smaller.
    assert change.dropped == np.count_nonzero(before > mask) > 1
    assert change.grown == np.count_nonzero(mask > before)
    assert change.density == pytest.approx(mask.mean())
