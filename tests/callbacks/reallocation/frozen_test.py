"""Frozen kernels keep mask and weights, and are taken up when unfrozen."""

import keras
import numpy as np
import pytest

import cb
from cb.distribute.variables import read
from cb.errors import InputError
from cb.errors import NotReached
from cb.layers.masked import masked_kernels
from cb.sparsity import reallocation
from tests.callbacks.reallocation.contract_test import bits
from tests.callbacks.reallocation.contract_test import callback_for
from tests.callbacks.reallocation.contract_test import fit
from tests.callbacks.reallocation.contract_test import sgd


def counts(model):
    masks = [read(kernel.mask) for kernel in masked_kernels(model)]
    return [np.count_nonzero(mask) for mask in masks]


@pytest.mark.parametrize("name", reallocation.names())
def test_a_frozen_layer_waits_until_it_trains(
    name, build_model, batches, compile_model
):
    model = build_model()
    base, head = masked_kernels(model)
    start = counts(model)
    base.layer.trainable = False
    callback = callback_for(name, batches)
    before = bits([base.weight, base.mask])
    fit(compile_model(model, sgd()), batches(4), callback, last=1)
    assert bits([base.weight, base.mask]) == before
    if callback.algorithm.keeps_count:
        # The only layer that trains shares its budget with none.
        assert counts(model) == start
    base.layer.trainable = True
    # A resume, with variables and state, comes to the same.
    compile_model(model, sgd())
    twin = compile_model(build_model(seed=3), sgd())
    for one, two in zip(model.variables, twin.variables, strict=True):
        two.assign(one)
    resumed = callback_for(name, batches)
    resumed.set_state(callback.get_state())
    for one, its in ((model, callback), (twin, resumed)):
        fit(one, batches(4), its, last=1)
    assert bits(model.variables) == bits(twin.variables)
    assert bits([base.weight]) != before[:1]
    if callback.algorithm.keeps_count:
        assert sum(counts(model)) == sum(start)
    if callback.algorithm.zero_inactive:
        for kernel in (base, head):
            assert not read(kernel.weight)[read(kernel.mask) == 0].any()


def test_all_may_be_frozen(build_model, batches, compile_model):
    model = build_model()
    kernels = masked_kernels(model)
    for kernel in kernels:
        kernel.layer.trainable = False
    outputs = keras.layers.Dense(3)(model.output)
    whole = compile_model(keras.Model(model.input, outputs), sgd())
    before = bits(model.variables)
    callback = callback_for("rigl", batches)
    with pytest.warns(NotReached, match="all sparse kernels are frozen"):
        fit(whole, batches(4), callback, last=1)
    assert bits(model.variables) == before
    assert callback.get_state() == {}


def test_unfrozen_without_compiling_again_is_refused_by_name(
    build_model, batches, compile_model
):
    model = build_model()
    base, _ = masked_kernels(model)
    base.layer.trainable = False
    compile_model(model, sgd())
    callback = cb.callbacks.Reallocation("set(every=2)")
    fit(model, batches(4), callback, last=1)
    base.layer.trainable = True
    with pytest.raises(InputError, match=f"{base.name}.*compile the model"):
        fit(model, batches(4), callback, last=1)
